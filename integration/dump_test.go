package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// tool runs a program to its end and gives what it printed and its exit status.
func tool(t *testing.T, name string, args ...string) (out, errs string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PLEIAD_PG_BIN="+suite.plain.binDir, "LC_ALL=C.UTF-8")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// dumped writes a dump of a database to a file.
func (s *side) dumped(t *testing.T, db string) (file, text string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "dump.sql")
	if out, errs, status := tool(t, suite.binary, "dump", db, "--dsn", s.dsn("postgres"), "--file", file); status != 0 || out+errs != "" {
		t.Fatalf("pleiad dump: status %d\n%s%s", status, out, errs)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(raw)
}

func (s *side) load(t *testing.T, db, file string) {
	t.Helper()
	if out, errs, status := tool(t, clientProgram("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, s.dsn(db)); status != 0 {
		t.Fatalf("psql on %s: status %d\n%s%s", s.name, status, out, errs)
	}
}

// anyOrder is a dump's lines sorted: pg_dump orders what is alike by its oids, and rows come as they are found.
func anyOrder(dump string) []string {
	lines := strings.Split(dump, "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, `\restrict `) || strings.HasPrefix(l, `\unrestrict `) || strings.HasPrefix(l, "SET pleiad.") || strings.HasPrefix(l, "SET default_table")
	})
	slices.Sort(lines)
	return lines
}

// TestDump restores a dump of everything there is into another database of the cluster, and into one PostgreSQL.
func TestDump(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	from, again, plain := s.newDatabase(t), s.newDatabase(t), suite.plain.newDatabase(t)
	s.load(t, from, "testdata/dump/schema.sql")
	file, text := s.dumped(t, from)
	if _, end, ok := strings.Cut(text, "\n--\n-- pleiad database dump complete\n--\n"); !ok || strings.Count(end, "\n") > 4 {
		t.Errorf("the dump ends with\n%s", text[max(0, len(text)-300):])
	}
	s.load(t, again, file)
	suite.plain.load(t, plain, file)
	if _, second := s.dumped(t, again); !slices.Equal(anyOrder(text), anyOrder(second)) {
		t.Errorf("the dump of what was restored %s", firstDifference(strings.Join(anyOrder(text), "\n"), strings.Join(anyOrder(second), "\n"), "it"))
	}

	schema, errs, status := tool(t, suite.binary, "dump", "--schema-only", "--dsn", s.dsn(from))
	if status != 0 || errs != "" || !strings.Contains(schema, "\nCREATE TABLE app.orders ") || !strings.Contains(schema, "'HASH (customer)'") {
		t.Errorf("--schema-only: status %d, %s\n%s", status, errs, schema)
	}
	for _, rows := range []string{"\nCOPY ", "setval", "\nREFRESH ", "lo_create"} {
		if strings.Contains(schema, rows) {
			t.Errorf("--schema-only has %q", rows)
		}
	}

	a, b, one := s.conn(t, from), s.conn(t, again), suite.plain.conn(t, plain)
	const kinds = "select schema, name, kind, key, shards, hash from pleiad.tables order by 1, 2"
	want := s.text(t, a, kinds)
	if got := s.text(t, b, kinds); !slices.Equal(got, want) {
		t.Errorf("tables are %q\nnot %q", got, want)
	}
	for _, kind := range []string{"|sharded|", "|reference|", "|local|", "|murmur3"} {
		if !strings.Contains(strings.Join(want, "\n"), kind) {
			t.Errorf("no table is %s: %q", kind, want)
		}
	}
	relations := s.text(t, a, `select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'v', 'm') and c.relispopulated and n.nspname in ('public', 'app', 'odd schema') order by 1`)
	if len(relations) < 20 {
		t.Fatalf("only %q", relations)
	}
	for _, r := range relations {
		want := inAnyOrder(s.text(t, a, "table "+r))
		for _, other := range []struct {
			*side
			c *pgx.Conn
		}{{s, b}, {suite.plain, one}} {
			if got := inAnyOrder(other.text(t, other.c, "table "+r)); !slices.Equal(got, want) {
				t.Errorf("%s of %s has %q\nnot %q", r, other.name, got, want)
			}
		}
	}
	for _, sql := range []string{
		"insert into app.orders (customer, ratio) values (100, 1) returning no, note",
		"insert into app.customer (region) values (1) returning id, name",
		"insert into notes default values returning id",
		"insert into app.kind default values returning id, no",
		"select nextval('app.alone'), nextval('app.unused')",
		"select sum(length(loid::text)), md5(string_agg(lo_get(oid), '')) from pg_largeobject_metadata m, lateral (select m.oid) l (loid)",
		"select app.liar()",
	} {
		want := s.text(t, a, sql)
		if got := s.text(t, b, sql); !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", sql, got, want)
		}
		if got := suite.plain.text(t, one, sql); !slices.Equal(got, want) {
			t.Errorf("%s on %s: %q, not %q", sql, suite.plain.name, got, want)
		}
	}
}

func inAnyOrder(rows []string) []string {
	slices.Sort(rows)
	return rows
}

// copied is what a dump has of a table, as fields.
func copied(t *testing.T, dump, table string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(dump, "\nCOPY "+table+" ")
	if !ok {
		t.Fatalf("the dump has no rows of %s", table)
	}
	body, _, _ := strings.Cut(rest, "\n\\.\n")
	for _, line := range strings.Split(body, "\n")[1:] {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows
}

// TestDumpIsOneSnapshot dumps while clients move money between servers and write down on home that they did, and another
// one changes the schema all the time.
func TestDumpIsOneSnapshot(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	db := s.newDatabase(t)
	c := s.conn(t, db)
	const accounts, clients = 24, 4
	s.exec(t, c, "create table account (id int primary key, balance int, moves int) partition by hash (id)")
	s.exec(t, c, fmt.Sprintf("insert into account select i, 1000, 0 from generate_series(1, %d) i", accounts))
	s.exec(t, c, "create table done (id serial primary key, who int)")
	s.exec(t, c, "create table tally (who int primary key, n int) with (pleiad.reference)")
	s.exec(t, c, fmt.Sprintf("insert into tally select i, 0 from generate_series(0, %d) i", clients-1))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var done atomic.Int64
	for n := range clients {
		worker := s.conn(t, db)
		running.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				a, b := 1+i%(accounts-1), accounts
				if _, err := worker.Exec(t.Context(), fmt.Sprintf(`begin; update account set balance = balance - 1, moves = moves + 1 where id = %d;
					update account set balance = balance + 1, moves = moves + 1 where id = %d; insert into done (who) values (%d);
					update tally set n = n + 1 where who = %d; commit`, a, b, n, n)); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	changer := s.conn(t, db)
	running.Go(func() {
		for ctx.Err() == nil {
			if _, err := changer.Exec(t.Context(), "create table passing (id int primary key); drop table passing"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 4 {
		before := done.Load()
		eventually(t, callLimit, "clients write", func() bool { return done.Load() > before+5 || t.Failed() })
		_, text := s.dumped(t, db)
		balance, moves, tally := 0, 0, 0
		for _, row := range copied(t, text, "public.account") {
			balance += number(t, row[1])
			moves += number(t, row[2])
		}
		for _, row := range copied(t, text, "public.tally") {
			tally += number(t, row[1])
		}
		ledger := copied(t, text, "public.done")
		if balance != accounts*1000 || moves != 2*len(ledger) || tally != len(ledger) || int64(tally) < before {
			t.Errorf("a dump has a balance of %d, %d moves, %d of them written down, and a tally of %d; it began after %d", balance, moves, len(ledger), tally, before)
		}
		highest := 0
		for _, row := range ledger {
			highest = max(highest, number(t, row[0]))
		}
		_, value, _ := strings.Cut(text, "setval('public.done_id_seq', ")
		if value, _, _ = strings.Cut(value, ","); number(t, value) < highest {
			t.Errorf("the sequence is at %s, and a row has %d", value, highest)
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDumpFails leaves nothing behind that could be taken for a dump.
func TestDumpFails(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table t (id int primary key, v text) partition by hash (id)")
	s.exec(t, c, "insert into t select i, 'v' from generate_series(1, 100) i")
	s.exec(t, c, "create role nobody_much login")
	t.Cleanup(func() { s.admin(t, "drop role nobody_much") })
	fails := func(name, want string, args ...string) {
		t.Helper()
		dir := t.TempDir()
		out, errs, status := tool(t, suite.binary, append([]string{"dump", "--file", filepath.Join(dir, "dump.sql")}, args...)...)
		if status != 1 || out != "" || !strings.HasPrefix(errs, "pleiad: ") || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %q, which does not say %q", name, status, errs, want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s left %v, %v", name, left, err)
		}
		out, _, status = tool(t, suite.binary, append([]string{"dump"}, args...)...)
		if status != 1 || strings.Contains(out, "complete") {
			t.Errorf("%s: status %d, and to standard output %q", name, status, out)
		}
	}
	fails("no such database", `database "nowhere" does not exist`, "nowhere", "--dsn", s.dsn("postgres"))
	fails("no right", "permission denied for table t", "--dsn", s.dsn(db, "user=nobody_much"))
	fails("one server alone", "the server is not pleiad's proxy", "--dsn", s.server("b1").dsn(db))
	fails("no proxy", "connect to the proxy", "--dsn", "postgres://127.0.0.1:1/postgres?user=x&sslmode=disable")
	down := s.cluster.Server("b2")
	if err := down.Stop(devcluster.Immediate); err != nil {
		t.Fatal(err)
	}
	fails("a server is down", "b2", db, "--dsn", s.dsn("postgres"))
	if err := down.Start(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, callLimit, "the server takes part", func() bool {
		rows, err := c.PgConn().Exec(t.Context(), "select count(*) from t").ReadAll()
		return err == nil && string(rows[0].Rows[0][0]) == "100"
	})
}

// TestPgDumpOfShardedTables is refused where rows would be missing, and nowhere else.
func TestPgDumpOfShardedTables(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table spread (id int primary key) partition by hash (id)")
	s.exec(t, c, "create table copied (id int primary key) with (pleiad.reference)")
	s.exec(t, c, "create table here (id int primary key)")
	s.exec(t, c, "insert into here values (77)")
	const refused = "pg_dump does not see the rows of sharded tables"
	for _, x := range []struct {
		want string
		args []string
	}{
		{refused, []string{"-N", "pleiad*"}},
		{refused, []string{"-n", "public", "-a"}},
		{refused, []string{"-t", "spread"}},
		{refused, []string{"-t", "spread", "--inserts"}},
		{"", []string{"-t", "spread", "-s"}},
		{"", []string{"-t", "here", "-t", "copied"}},
		{"", []string{"-N", "pleiad*", "-T", "spread"}},
	} {
		out, errs, status := tool(t, clientProgram("pg_dump"), append(x.args, s.dsn(db))...)
		if x.want != "" && (status == 0 || !strings.Contains(errs, x.want) || !strings.Contains(errs, "pleiad dump") || strings.Contains(out, "dump complete")) {
			t.Errorf("%q: status %d, %s", x.args, status, errs)
		}
		if x.want == "" && (status != 0 || errs != "" || !strings.Contains(out, "dump complete")) {
			t.Errorf("%q: status %d, %s", x.args, status, errs)
		}
	}
	out, errs, status := tool(t, clientProgram("pg_dump"), "-N", "pleiad*", s.dsn(db, "options=-c pleiad.partial_dump=on"))
	if status != 0 || !strings.Contains(out, "CREATE TABLE public.spread") || !strings.Contains(out, "\n77\n") {
		t.Errorf("with pleiad.partial_dump: status %d, %s\n%s", status, errs, out)
	}
}
