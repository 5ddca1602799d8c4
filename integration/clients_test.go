package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// runClient runs a program against one side and returns what it printed.
func runClient(t *testing.T, dsn string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DSN="+dsn, "PSQL="+clientProgram("psql"), "PGCONNECT_TIMEOUT=20", "LC_ALL=C.UTF-8")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s, DSN %s: %v\nstdout:\n%s\nstderr:\n%s", name, strings.Join(args, " "), dsn, err, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

// clientProgram finds a client program of PostgreSQL beside the server's.
func clientProgram(name string) string { return filepath.Join(suite.plain.binDir, name) }

// sameOutput runs a program on both sides, each in a database of its own, and compares what it prints.
func sameOutput(t *testing.T, params []string, name string, args ...string) {
	t.Helper()
	var outs [2]string
	for i, s := range both() {
		outs[i] = runClient(t, s.dsn(s.newDatabase(t), params...), name, args...)
	}
	if strings.TrimSpace(outs[0]) == "" {
		t.Fatal("the program printed nothing")
	}
	if outs[0] != outs[1] {
		t.Errorf("%s", firstDifference(outs[0], outs[1], suite.target.name))
	}
}

const python = "/usr/bin/python3"

var distributions = map[string][]string{
	"local":       nil,
	"primary_key": {"options=-c pleiad.default_distribution=primary_key"},
}

// TestClientsLargeObjects runs libpq's lo_* functions, which call functions by their oids.
func TestClientsLargeObjects(t *testing.T) {
	t.Parallel()
	sameOutput(t, distributions["primary_key"], python, "clients/python/large_objects.py")
}

func TestClientsPsycopg2(t *testing.T) {
	t.Parallel()
	for name, params := range distributions {
		t.Run(name, func(t *testing.T) { sameOutput(t, params, python, "clients/python/features.py") })
	}
}

// TestClientsPython runs psycopg 3 and asyncpg.
func TestClientsPython(t *testing.T) {
	t.Parallel()
	for name, params := range distributions {
		t.Run(name, func(t *testing.T) { sameOutput(t, params, python, "clients/python/drivers.py") })
	}
}

func TestClientsSQLAlchemy(t *testing.T) {
	t.Parallel()
	for name, params := range distributions {
		t.Run(name, func(t *testing.T) { sameOutput(t, params, python, "clients/python/orm.py") })
	}
}

func TestClientsNode(t *testing.T) {
	t.Parallel()
	for name, params := range distributions {
		t.Run(name, func(t *testing.T) { sameOutput(t, params, "node", "--no-deprecation", "clients/node/client.js") })
	}
}

// TestClientsStudents runs an application that knows nothing of shards; its rows lie on several servers.
func TestClientsStudents(t *testing.T) {
	t.Parallel()
	params := distributions["primary_key"]
	var outs [2]string
	for i, s := range both() {
		db := s.newDatabase(t)
		outs[i] = runClient(t, s.dsn(db, params...), python, "clients/python/students.py")
		c := s.conn(t, db)
		// What the vanished client left open is gone, and its row with it.
		eventually(t, 5*time.Second, "the open transaction is rolled back", func() bool {
			return s.text(t, c, "select id from students where id = 9 for update nowait") == nil
		})
		if got := strings.Join(s.text(t, c, "select * from students order by id"), " "); got != "1|Alice|21 3|Charlie|23" {
			t.Errorf("%s: students are %q", s.name, got)
		}
		if s.pleiad {
			checkSpread(t, s, db, "students")
		}
	}
	if outs[0] != outs[1] {
		t.Errorf("%s", firstDifference(outs[0], outs[1], suite.target.name))
	}
}

// checkSpread proves that a table is sharded over all backends and that rows really lie on several, by
// the catalog and by asking the servers themselves.
func checkSpread(t *testing.T, s *side, db, table string) {
	t.Helper()
	c := s.conn(t, db)
	for i := 100; i < 160; i++ {
		s.exec(t, c, "insert into "+table+" (id) values ($1)", i)
	}
	byBackend := map[string]int{}
	for _, row := range s.text(t, c, "select backend, shard from pleiad.shards where table_name::text ~ '"+table+"$' order by shard") {
		backend, _, _ := strings.Cut(row, "|")
		byBackend[backend]++
	}
	if len(byBackend) != 3 {
		t.Errorf("pleiad.shards tells of %v, want shards on 3 backends", byBackend)
	}
	holding := 0
	for _, server := range backendServers(t, s, db) {
		n := server.one(t, server.conn(t, db), "select count(*) from "+table)
		t.Logf("%s holds %s rows of %s", server.name, n, table)
		if n != "0" {
			holding++
		}
	}
	if holding < 2 {
		t.Errorf("the rows of %s lie on %d servers, want several", table, holding)
	}
	s.exec(t, c, "delete from "+table+" where id >= 100")
}

// tabsEtc makes what the psql tests look at.
const tabsEtc = `
create table tab_completed (long_column_name int primary key, doc jsonb default '{}', note text not null check (note <> '')) partition by hash (long_column_name);
create table plain_local (id serial primary key, ref int, constraint named unique (ref));
create index tab_note on tab_completed (note);
create view a_view as select 1 as one;
create function a_function(a int, b text default 'x') returns text language sql as 'select $2 || $1';
create type a_type as enum ('x', 'y');
create sequence a_sequence;
create schema a_schema;
comment on table plain_local is 'a comment';
insert into tab_completed values (1, '{}', 'one'), (2, '{}', 'two'), (3, '{}', 'three');`

func TestClientsPsql(t *testing.T) {
	t.Parallel()
	databases := map[*side]string{}
	for _, s := range both() {
		db := s.newDatabase(t)
		databases[s] = db
		c := s.conn(t, db)
		for stmt := range strings.SplitSeq(strings.TrimSpace(tabsEtc), "\n") {
			s.exec(t, c, strings.TrimSuffix(stmt, ";"))
		}
	}
	file := filepath.Join(t.TempDir(), "copied.csv")
	for _, c := range []struct {
		name string
		args []string
		same bool // must print the same; else it must only work and name the objects
		want []string
	}{
		{"describe sharded", []string{`\d tab_completed`}, true, []string{"long_column_name", "Partition key: HASH (long_column_name)"}},
		{"describe local", []string{`\d plain_local`}, true, []string{"nextval", "named"}},
		{"describe local plus", []string{`\d+ plain_local`}, true, nil},
		{"describe view", []string{`\d+ a_view`}, true, nil},
		{"describe sequence", []string{`\d a_sequence`}, true, nil},
		{"list", []string{`\d`}, true, []string{"tab_completed", "plain_local", "a_view"}},
		{"tables plus", []string{`\dt+ public.*`}, false, []string{"tab_completed", "plain_local", "a comment"}},
		{"indexes", []string{`\di`}, true, []string{"tab_note"}},
		{"functions", []string{`\df`}, true, []string{"a_function"}},
		{"functions plus", []string{`\df+ a_function`}, true, nil},
		{"show function", []string{`\sf a_function`}, true, nil},
		{"show view", []string{`\sv a_view`}, true, nil},
		{"types", []string{`\dT`}, true, []string{"a_type"}},
		{"databases", []string{`\l`}, false, []string{"template1"}},
		{"databases plus", []string{`\l+`}, false, []string{"template1"}},
		{"roles", []string{`\du`}, false, []string{"Superuser"}},
		{"schemas", []string{`\dn a*`}, true, []string{"a_schema"}},
		{"privileges", []string{`\dp`}, true, nil},
		{"connection", []string{`\conninfo`}, false, []string{"DATABASE"}},
		{"timing", []string{`\timing on`, `select 1`}, false, []string{"Time:"}},
		{"gdesc", []string{`select note, doc from tab_completed \gdesc`}, true, []string{"jsonb"}},
		{"gset", []string{`select 5 as five \gset`, `\echo :five`}, true, []string{"5"}},
		{"crosstab", []string{`select long_column_name, note, 1 from tab_completed where long_column_name = 1 \crosstabview`}, true, nil},
		{"expanded", []string{`\x`, `select * from tab_completed order by 1`}, true, []string{"RECORD 3"}},
		{"copy out", []string{`\copy (select * from tab_completed) to '` + file + `' csv header`}, true, []string{"COPY 3"}},
		{"copy in", []string{`delete from tab_completed`, `\copy tab_completed from '` + file + `' csv header`, `select note from tab_completed order by long_column_name desc`}, true, []string{"DELETE 3", "COPY 3", "three"}},
		{"error", []string{`select nosuch from tab_completed`}, true, []string{"LINE 1", "^"}},
		{"errverbose", []string{`select 1/0`, `\errverbose`}, false, []string{"22012"}},
		{"variables", []string{`\set v 2`, `select note from tab_completed where long_column_name = :v`, `select :'v'`}, true, nil},
		{"large objects", []string{`\lo_list`}, true, nil},
		{"fetch count", []string{`\set FETCH_COUNT 2`, `select id from plain_local order by id`, `select note from tab_completed where long_column_name = 3`}, true, []string{"three"}},
		{"single transaction", []string{`begin`, `insert into tab_completed values (9, '{}', 'nine'), (10, '{}', 'ten')`, `rollback`, `select long_column_name from tab_completed order by 1`}, true, nil},
		{"watch", []string{`\encoding`, `\dconfig work_mem`, `\dx`, `\dO`, `\des`, `\dD`}, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "script")
			var lines strings.Builder
			for _, a := range c.args {
				if !strings.Contains(a, `\`) {
					a += ";"
				}
				lines.WriteString(a + "\n")
			}
			if err := os.WriteFile(script, []byte(lines.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			var outs [2]string
			for i, s := range both() {
				out := runClient(t, "", clientProgram("psql"), "-X", "-f", script, s.dsn(databases[s]))
				outs[i] = sameNumbers(strings.ReplaceAll(out, databases[s], "DATABASE"))
				if strings.HasPrefix(outs[i], "ERROR") && c.want == nil {
					t.Errorf("%s: %s", s.name, outs[i])
				}
				for _, w := range c.want {
					if !strings.Contains(outs[i], w) {
						t.Errorf("%s: %q is not in\n%s", s.name, w, outs[i])
					}
				}
			}
			if c.same && outs[0] != outs[1] {
				t.Errorf("%s", firstDifference(outs[0], outs[1], suite.target.name))
			}
		})
	}
	for _, s := range both() {
		t.Run("tab completion on "+s.name, func(t *testing.T) {
			if out := runClient(t, s.dsn(databases[s]), python, "clients/python/psql_tab.py"); !strings.Contains(out, "completed") {
				t.Errorf("printed %q", out)
			}
		})
	}
}

var partitionCount = regexp.MustCompile(`Number of partitions: \d+`)

// sameNumbers hides how many partitions the answering server itself has.
func sameNumbers(s string) string {
	return partitionCount.ReplaceAllString(s, "Number of partitions: N")
}

// TestClientsPgDump takes the schema and rows of local tables as PostgreSQL's own tool sees them.
func TestClientsPgDump(t *testing.T) {
	t.Parallel()
	var outs [2]string
	for i, s := range both() {
		db := s.newDatabase(t)
		c := s.conn(t, db)
		s.exec(t, c, "create table dumped (id int primary key, v text)")
		s.exec(t, c, "insert into dumped values (1, 'one'), (2, E'two\\nlines')")
		out := runClient(t, "", clientProgram("pg_dump"), "-d", s.dsn(db), "-t", "dumped", "--no-comments")
		outs[i] = commentLines.ReplaceAllString(out, "")
	}
	if outs[0] != outs[1] {
		t.Errorf("%s", firstDifference(outs[0], outs[1], suite.target.name))
	}
}

var commentLines = regexp.MustCompile(`(?m)^(--.*|\\(un)?restrict .*)\n`)

// firstDifference shows where two logs part, with what led there.
func firstDifference(want, got, name string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	var out strings.Builder
	fmt.Fprintf(&out, "differs from PostgreSQL at line %d of the log\n", at+1)
	for _, l := range a[max(0, at-8):at] {
		fmt.Fprintf(&out, "      %s\n", l)
	}
	show := func(mark string, lines []string) {
		for i := at; i < min(len(lines), at+10); i++ {
			fmt.Fprintf(&out, "%s %s\n", mark, lines[i])
		}
	}
	show("  PG:", a)
	show("  "+name+":", b)
	return out.String()
}

// TestPsqlFetchCount lets psql read by cursors, which it declares around every query.
func TestPsqlFetchCount(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "fetch_count.sql")
	lines := []string{
		`\set FETCH_COUNT 7`,
		"create table t (k int primary key, v text);",
		"insert into t values " + numberedRows(60) + ";",
		"select * from t order by k;",
		"select v from t order by v desc, k limit 20 offset 3;",
		"select count(*), sum(k) from t;",
		"select k % 7 as m, count(*) from t group by m order by m;",
		"select k, row_number() over (order by k desc) from t order by k limit 10;",
		"select k from t where k = 5;",
		`\unset FETCH_COUNT`,
		`\copy (select * from t order by k desc limit 5) to stdout csv header`,
		"copy (select count(*), max(v) from t) to stdout;",
	}
	if err := os.WriteFile(script, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var outs [2]string
	for i, s := range both() {
		dsn := s.dsn(s.newDatabase(t), distributions["primary_key"]...)
		outs[i] = runClient(t, "", clientProgram("psql"), "-X", "-q", "-f", script, dsn)
	}
	if outs[0] != outs[1] {
		t.Errorf("%s", firstDifference(outs[0], outs[1], suite.target.name))
	}
}

// numberedRows are rows of VALUES: (1, 'v1') and so on.
func numberedRows(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, 'v%d')", i+1, i+1)
	}
	return strings.Join(rows, ", ")
}
