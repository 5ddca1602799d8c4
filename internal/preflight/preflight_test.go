package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/devcluster"
)

// configOf is the configuration of a local cluster over its Unix sockets.
func configOf(t *testing.T, cluster *devcluster.Cluster) *config.Config {
	t.Helper()
	c := config.Default()
	for _, p := range cluster.Primaries() {
		b := config.Backend{Name: p.Name, Weight: 1, Primary: config.Server{Host: p.SocketDir, Port: p.Port}}
		for _, r := range cluster.Replicas(p.Name) {
			b.Replicas = append(b.Replicas, config.Server{Name: r.Name, Host: r.SocketDir, Port: r.Port})
		}
		c.Backends = append(c.Backends, b)
	}
	c.Resolve()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, s *devcluster.Server, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// findings are the report's as "server severity check", sorted.
func findings(r Report) []string {
	var all []string
	for _, s := range r.Servers {
		for _, f := range s.Findings {
			all = append(all, fmt.Sprintf("%s %s %s", s.Name, f.Severity, f.Check))
		}
	}
	slices.Sort(all)
	return all
}

func print(t *testing.T, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func expect(t *testing.T, r Report, status int, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := findings(r); !slices.Equal(got, want) {
		t.Errorf("findings\n%s\nwant\n%s\nreport:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), print(t, r))
	}
	if got := r.ExitStatus(); got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	for _, s := range r.Servers {
		for _, f := range s.Findings {
			if f.Problem == "" || f.Fix == "" {
				t.Errorf("%s: %s has no problem or no fix: %+v", s.Name, f.Check, f)
			}
		}
	}
}

func TestRealServers(t *testing.T) {
	cluster := devcluster.ForTest(t, devcluster.Options{Backends: 2, Replicas: 1})
	b1, b2 := cluster.Server("b1"), cluster.Server("b2")
	c := configOf(t, cluster)

	t.Run("nothing is missing", func(t *testing.T) {
		r := Check(t.Context(), c)
		expect(t, r, 0)
		if len(r.Servers) != 4 || r.Servers[1].Name != "b1-r1" || r.Servers[1].Role != "replica" || r.Servers[0].Version == "" {
			t.Errorf("servers %+v", r.Servers)
		}
	})
	t.Run("replica configured as primary and the reverse", func(t *testing.T) {
		swapped := configOf(t, cluster)
		b := &swapped.Backends[1]
		b.Primary, b.Replicas[0] = b.Replicas[0], b.Primary
		expect(t, Check(t.Context(), swapped), 1, "b2 error recovery", "b2-r1 error recovery")
	})
	t.Run("replica of another backend", func(t *testing.T) {
		mixed := configOf(t, cluster)
		mixed.Backends[0].Replicas, mixed.Backends[1].Replicas = mixed.Backends[1].Replicas, mixed.Backends[0].Replicas
		expect(t, Check(t.Context(), mixed), 1, "b1-r1 error system_identifier", "b2-r1 error system_identifier")
	})
	t.Run("one server twice", func(t *testing.T) {
		twice := configOf(t, cluster)
		twice.Backends[1].Primary.Host, twice.Backends[1].Primary.Port = b1.SocketDir, b1.Port
		twice.Backends[1].Replicas = nil
		expect(t, Check(t.Context(), twice), 1, "b2 error system_identifier")
	})
	t.Run("a pool larger than the servers", func(t *testing.T) {
		large := configOf(t, cluster)
		large.Users = map[string]config.User{"batch": {PoolSize: 1000}}
		var want []string
		for _, s := range []string{"b1 error", "b1-r1 warning", "b2 error", "b2-r1 warning"} {
			want = append(want, s+" max_connections", s+" max_prepared_transactions")
		}
		expect(t, Check(t.Context(), large), 1, want...)
	})
	t.Run("server down and wrong password", func(t *testing.T) {
		down := configOf(t, cluster)
		down.Backends[0].Primary.Port = 1
		p := &down.Backends[1]
		p.Primary.Host, p.Primary.TLS.Mode = b2.Host, config.SSLDisable
		p.Replicas = nil
		t.Setenv("PLEIAD_TEST_PASSWORD", "not-the-password")
		p.Credentials.PasswordEnv = "PLEIAD_TEST_PASSWORD"
		r := Check(t.Context(), down)
		expect(t, r, 1, "b1 error connection", "b2 error connection")
		text := print(t, r)
		for _, part := range []string{"nobody listens at", "28P01"} {
			if !strings.Contains(text, part) {
				t.Errorf("report lacks %q:\n%s", part, text)
			}
		}
		if strings.Contains(text, "not-the-password") {
			t.Error("report shows a password")
		}
	})
	t.Run("roles and databases differ", func(t *testing.T) {
		run(t, b1, "CREATE ROLE ann LOGIN PASSWORD 'x'", "CREATE ROLE bob LOGIN", "CREATE DATABASE shop")
		run(t, b2, "CREATE ROLE ann LOGIN PASSWORD 'x'", "CREATE ROLE carl", "CREATE ROLE plain LOGIN",
			"CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
		want := []string{
			"b1 error database", "b1 error role", "b1 error role",
			"b2 error database", "b2 error role", "b2 error encoding", "b2 error password",
		}
		r := Check(t.Context(), c)
		expect(t, r, 1, want...)
		if text := print(t, r); strings.Contains(text, "SCRAM-SHA-256$") {
			t.Errorf("report shows a verifier:\n%s", text)
		}
		run(t, b1, "DROP ROLE ann, bob", "DROP DATABASE shop")
		run(t, b2, "DROP ROLE ann, carl", "DROP DATABASE latin")
	})
	t.Run("service role without rights", func(t *testing.T) {
		run(t, b1, "CREATE ROLE plain LOGIN")
		weak := configOf(t, cluster)
		for i := range weak.Backends {
			weak.Backends[i].Credentials.User = "plain"
			weak.Backends[i].Replicas = nil
		}
		expect(t, Check(t.Context(), weak), 1, "b1 error superuser", "b2 error superuser")
		run(t, b1, "DROP ROLE plain")
		run(t, b2, "DROP ROLE plain")
	})
	t.Run("settings and leftovers", func(t *testing.T) {
		run(t, b2, "ALTER SYSTEM SET standard_conforming_strings = off", "SELECT pg_reload_conf()",
			"SELECT pg_create_physical_replication_slot('forgotten')")
		run(t, b1, "ALTER SYSTEM SET max_replication_slots = 2", "ALTER SYSTEM SET wal_level = replica")
		if err := b1.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b1.WaitStreaming(t.Context(), cluster.Server("b1-r1")); err != nil {
			t.Fatal(err)
		}
		expect(t, Check(t.Context(), c), 1,
			"b1 error wal_level", "b1 error max_replication_slots",
			"b2 error standard_conforming_strings", "b2 warning replication_slot")
	})
}

// A server that accepts and says nothing does not hold the others up.
func TestSilentServer(t *testing.T) {
	silent := listenSilently(t)
	c := config.Default()
	c.Timeouts.Connect = config.Duration(300 * time.Millisecond)
	c.Backends = []config.Backend{{Name: "b1", Weight: 1, Primary: config.Server{Host: "127.0.0.1", Port: silent}}}
	c.Resolve()
	r := Check(t.Context(), c)
	expect(t, r, 1, "b1 error connection")
	if !strings.Contains(r.Servers[0].Findings[0].Problem, "in time") {
		t.Errorf("problem %q", r.Servers[0].Findings[0].Problem)
	}
}
