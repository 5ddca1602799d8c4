package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The role that a proxy with real logins uses for itself, and through which the tests administer.
const (
	serviceRole     = "pleiad_service"
	servicePassword = `it's "secret" \ %41`
)

// serveLogins starts a proxy that asks clients for passwords and gives its own to the servers, over loopback TCP.
// Each backend's entry gets serverSettings, and the configuration settings.
func serveLogins(t *testing.T, settings, serverSettings string) *served {
	t.Helper()
	s := &served{cluster: sharedServers(t), config: filepath.Join(t.TempDir(), "config.yaml")}
	for _, d := range s.cluster.Primaries() {
		direct := &side{name: d.Name, user: s.cluster.SuperUser(), database: "postgres", socket: d.SocketDir, addr: fmt.Sprint("socket:", d.Port)}
		// It stays, as it owns the catalog. Each server has another verifier of it.
		direct.admin(t, "do $$ begin create role "+serviceRole+" superuser; exception when duplicate_object then null; end $$")
		direct.admin(t, fmt.Sprintf("alter role %s login password '%s'", serviceRole, strings.ReplaceAll(servicePassword, "'", "''")))
		t.Cleanup(func() { direct.admin(t, "alter role "+serviceRole+" nologin") })
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(servicePassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.side = &side{name: "pleiad serve", user: serviceRole, database: "postgres", pleiad: true, login: []string{"password=" + servicePassword}}
	if strings.Contains(settings, "mode: require") {
		s.login = append(s.login, "sslmode=require")
	}
	s.addr = freeAddress(t)
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: logins\nlisten: %s\nhome: b1\ncredentials:\n  user: %s\n  password_file: %s\nbackends:\n", s.addr, serviceRole, password)
	for _, d := range s.cluster.Primaries() {
		fmt.Fprintf(&b, "  - name: %s\n    primary: {host: %s, port: %d%s}\n", d.Name, d.Host, d.Port, serverSettings)
	}
	b.WriteString(settings)
	if err := os.WriteFile(s.config, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		if err := errors.Join(s.program.stop(), s.program.complaints()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// direct are the backends, asked directly as their bootstrap superuser.
func (s *served) direct() (all []*side) {
	for _, d := range s.cluster.Primaries() {
		all = append(all, &side{name: d.Name, user: s.cluster.SuperUser(), database: "postgres", socket: d.SocketDir, addr: fmt.Sprint("socket:", d.Port)})
	}
	return all
}

// roles makes roles through pleiad, and drops them behind the test.
func (s *served) roles(t *testing.T, definitions ...string) {
	t.Helper()
	for _, d := range definitions {
		s.admin(t, "create role "+d)
		name, _, _ := strings.Cut(d, " ")
		t.Cleanup(func() { s.admin(t, "drop role "+name) })
	}
}

func as(role, password string, more ...string) []string {
	return append([]string{"user=" + role, "password=" + password}, more...)
}

// refused tries to log in and returns the SQLSTATE.
func (s *side) refused(t *testing.T, db string, params ...string) string {
	t.Helper()
	c, err := pgconn.Connect(ctxFor(t), s.dsn(db, params...))
	if err == nil {
		c.Close(context.Background())
		return "no error"
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err.Error()
	}
	return pg.Code
}

// rlsTable is a table of which each role sees its own rows alone.
func (s *served) rlsTable(t *testing.T, db string, roles ...string) {
	t.Helper()
	c := s.conn(t, db)
	s.exec(t, c, "create table note (k int primary key, owner name not null, v text) partition by hash (k)")
	s.exec(t, c, "alter table note enable row level security")
	s.exec(t, c, "create policy own on note using (owner = current_user)")
	for i, role := range roles {
		s.exec(t, c, "grant select, insert, update, delete on note to "+role)
		query := fmt.Sprintf("select i, '%s', 'of %s' from generate_series(%d, %d) i", role, role, i*100+1, i*100+60)
		if err := loadRows(ctxFor(t), c.PgConn(), "note", query); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLoginClients lets real clients log in with passwords, and looks who the statement runs as on each server.
func TestLoginClients(t *testing.T) {
	s := serveLogins(t, "pool:\n  size: 3\n", "")
	s.roles(t, "alice login password 'wonder land'", "bob login password 'b'")
	var verifiers []string
	for _, server := range s.direct() {
		rows := server.text(t, server.conn(t, "postgres"), "select rolname, rolpassword from pg_authid where rolname in ('alice', 'bob') order by 1")
		if len(rows) != 2 || !strings.HasPrefix(rows[0], "alice|SCRAM-SHA-256$") {
			t.Fatalf("%s has roles %q", server.name, rows)
		}
		verifiers = append(verifiers, strings.Join(rows, "\n"))
	}
	for _, v := range verifiers {
		if v != verifiers[0] {
			t.Errorf("the servers have different verifiers:\n%s", strings.Join(verifiers, "\n"))
		}
	}
	db := s.newDatabase(t)
	s.rlsTable(t, db, "alice", "bob")
	dsn := s.dsn(db, as("alice", "wonder land")...)
	for name, ask := range map[string]func() string{
		"psql": func() string {
			return runClient(t, dsn, clientProgram("psql"), "-X", "-A", "-t", "-c", "select current_user, v from note order by k limit 1", dsn)
		},
		"psycopg2": func() string {
			return runClient(t, dsn, python, "-c", `import os, psycopg2
c = psycopg2.connect(os.environ["DSN"]).cursor()
c.execute("select current_user, v from note order by k limit %s", (1,))
print("|".join(c.fetchone()))`)
		},
		"lib/pq": func() string {
			d, err := sql.Open("postgres", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			var user, v string
			if err := d.QueryRow("select current_user, v from note where k > $1 order by k limit 1", 0).Scan(&user, &v); err != nil {
				t.Fatal(err)
			}
			return user + "|" + v
		},
		"pgx": func() string {
			return s.one(t, s.conn(t, db, as("alice", "wonder land")...), "select current_user, v from note order by k limit 1")
		},
	} {
		if got := strings.TrimSpace(ask()); got != "alice|of alice" {
			t.Errorf("%s reads %q", name, got)
		}
	}
	c := s.conn(t, db, as("alice", "wonder land")...)
	s.exec(t, c, "begin")
	if rows := s.text(t, c, "select current_user, session_user, v from note"); len(rows) != 60 || len(slices.Compact(rows)) != 1 || rows[0] != "alice|alice|of alice" {
		t.Errorf("a scatter as alice: %d rows, the first %q", len(rows), rows[:min(1, len(rows))])
	}
	for _, server := range s.direct() {
		if n := server.one(t, server.conn(t, db), "select count(*) from pg_stat_activity where datname = '"+db+"' and usename = 'alice' and state = 'idle in transaction'"); n != "1" {
			t.Errorf("%s: %s transactions of alice, want 1", server.name, n)
		}
	}
	s.exec(t, c, "rollback")
}

// TestLoginRefusals holds refused logins to what PostgreSQL says.
func TestLoginRefusals(t *testing.T) {
	s := serveLogins(t, "", "")
	s.roles(t, "r_plain login password 'p'", "r_nologin password 'p'", "r_past login password 'p' valid until '2001-01-01'",
		"r_future login password 'p' valid until '2999-01-01'", "r_none login", "r_limit login password 'p' connection limit 0")
	for _, c := range []struct{ role, password, want string }{
		{"r_plain", "p", "no error"}, {"r_plain", "q", "28P01"}, {"r_plain", "", "28P01"}, {"r_nologin", "p", "28000"},
		{"r_nologin", "q", "28P01"}, {"r_past", "p", "28P01"}, {"r_future", "p", "no error"}, {"r_none", "p", "28P01"},
		{"r_nobody", "p", "28P01"}, {"r_limit", "p", "53300"},
	} {
		if c.password == "" {
			c.password = " "
		}
		if got := s.refused(t, "postgres", as(c.role, c.password)...); got != c.want {
			t.Errorf("%s with password %q: %s, want %s", c.role, c.password, got, c.want)
		}
		direct := &side{name: "b1", addr: s.cluster.Primaries()[0].Addr(), user: c.role}
		if got := direct.refused(t, "postgres", as(c.role, c.password)...); got != c.want {
			t.Errorf("%s with password %q: PostgreSQL says %s, and the test wants %s", c.role, c.password, got, c.want)
		}
	}
	s.admin(t, "alter role r_plain nologin")
	if got := s.refused(t, "postgres", as("r_plain", "p")...); got != "28000" {
		t.Errorf("after NOLOGIN: %s", got)
	}
	if log := s.program.stderr.String(); strings.Contains(log, "SCRAM-SHA-256$") || strings.Contains(log, servicePassword) {
		t.Error("the log has secrets")
	}
}

// TestLoginNewPassword changes the password of a role that has connections.
func TestLoginNewPassword(t *testing.T) {
	s := serveLogins(t, "", "")
	s.roles(t, "carol login password 'old'")
	db := s.newDatabase(t)
	c := s.conn(t, db, as("carol", "old")...)
	s.one(t, c, "select 1")
	s.exec(t, c, "alter role carol password 'new'")
	if got := s.refused(t, db, as("carol", "old")...); got != "28P01" {
		t.Errorf("the old password: %s", got)
	}
	s.one(t, s.conn(t, db, as("carol", "new")...), "select 1")
	endSessions := func() {
		for _, server := range s.direct() {
			server.admin(t, "select pg_terminate_backend(pid, 20000) from pg_stat_activity where usename = 'carol'")
		}
	}
	serves := func(password string) {
		t.Helper()
		// A connection that was in use a moment ago is lent without a look at its socket, and may be one that ended.
		eventually(t, 10*time.Second, "the password serves: "+password, func() bool {
			_, err := s.conn(t, db, as("carol", password)...).Exec(ctxFor(t), "select 1")
			return err == nil
		})
	}
	endSessions()
	// New server connections take the keys of the new password, also for the session that came with the old one.
	serves("new")
	s.one(t, c, "select 1")
	s.admin(t, "alter role carol password 'third'")
	endSessions()
	serves("third")
}

// TestLoginRowsOfRoles has roles share connections as far as they can; no row crosses.
func TestLoginRowsOfRoles(t *testing.T) {
	s := serveLogins(t, "pool:\n  size: 1\n  queue_timeout: 30s\n", "")
	s.roles(t, "dora login password 'd'", "emil login password 'e'", "app login password 'a'")
	s.admin(t, "grant dora, emil to app")
	db := s.newDatabase(t)
	s.rlsTable(t, db, "dora", "emil")
	var wg sync.WaitGroup
	sees := func(c *pgx.Conn, role string, n int) {
		for _, q := range []string{"select v from note", "select v from note order by k", "select current_user, v from note where k in (1, 2, 3, 101, 102, 103)"} {
			rows := s.text(t, c, q)
			for _, row := range rows {
				if !strings.HasSuffix(row, "of "+role) {
					t.Errorf("%s reads %q", role, row)
				}
			}
			if want := min(n, 60); !strings.Contains(q, "where") && len(rows) != want {
				t.Errorf("%s reads %d rows, want %d", role, len(rows), want)
			}
		}
	}
	for range 2 {
		for role, password := range map[string]string{"dora": "d", "emil": "e"} {
			c := s.conn(t, db, as(role, password)...)
			wg.Go(func() {
				for range 10 {
					sees(c, role, 60)
				}
			})
			// The same through SET ROLE, on the one connection to each server that app has.
			a := s.conn(t, db, as("app", "a")...)
			wg.Go(func() {
				for i := range 10 {
					s.exec(t, a, "set role "+role)
					sees(a, role, 60)
					s.exec(t, a, "reset role")
					if rows := s.text(t, a, "select current_user"); rows[0] != "app" {
						t.Errorf("after RESET ROLE: %s", rows[0])
					}
					s.exec(t, a, "begin")
					s.exec(t, a, "set local role "+role)
					sees(a, role, 60)
					s.exec(t, a, []string{"commit", "rollback"}[i%2])
					if rows := s.text(t, a, "select v from note"); rows != nil {
						t.Errorf("app itself reads %q", rows[0])
					}
				}
			})
		}
	}
	wg.Wait()
}

// TestLoginAfterLostControl: what a login asks home for on pleiad's own connections is asked again where these are lost, idle
// or in the middle of it, as when home has been killed and is back.
func TestLoginAfterLostControl(t *testing.T) {
	s := serve(t, "")
	home := s.server("b1")
	db := s.newDatabase(t)
	watcher := home.conn(t, "postgres")
	const own = "from pg_stat_activity where application_name = 'pleiad' and backend_type = 'client backend'"
	for range 5 {
		s.one(t, s.conn(t, db), "select 1") // they have just been used
		home.exec(t, watcher, "select pg_terminate_backend(pid, 10000) "+own)
		s.one(t, s.conn(t, db), "select 1")
	}
	holder := home.conn(t, db)
	home.exec(t, holder, "begin; lock table pg_db_role_setting in access exclusive mode")
	done := make(chan error, 1)
	go func() {
		c, err := pgx.Connect(t.Context(), s.dsn(db))
		if err == nil {
			err = c.Close(t.Context())
		}
		done <- err
	}()
	eventually(t, patience(20*time.Second), "the login waits for the settings", func() bool {
		return home.one(t, watcher, "select count(*) "+own+" and wait_event_type = 'Lock' and query like '%pg_db_role_setting s%'") == "1"
	})
	home.exec(t, watcher, "select pg_terminate_backend(pid, 10000) "+own+" and query like '%pg_db_role_setting s%'")
	home.exec(t, holder, "rollback")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
