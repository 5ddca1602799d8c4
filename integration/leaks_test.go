package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// leak is one kind of session state. With one connection per server and role, two clients surely share it.
type leak struct {
	name  string
	alice []string // leaves the state
	bob   answers  // what another client must see
	mine  answers  // what the first one must still see afterwards
	// leaves says that the first client must go before the other comes: its connection cannot be shared. What
	// it must still see it is then asked first.
	leaves bool
}

// answers pairs queries with what they must answer, or "!SQLSTATE"; asked in this order.
type answers [][2]string

var leaks = []leak{
	{
		name:  "SET",
		alice: []string{"set work_mem = '7MB'", "set datestyle = 'German'", "set statement_timeout = '10min'"},
		bob:   answers{{"show work_mem", "4MB"}, {"show datestyle", "ISO, MDY"}, {"show statement_timeout", "0"}},
		mine:  answers{{"show work_mem", "7MB"}, {"show datestyle", "German, DMY"}, {"show statement_timeout", "10min"}},
	}, {
		name:  "SET of a placeholder",
		alice: []string{"set my.secret = 'alice'"},
		bob:   answers{{"select current_setting('my.secret', true) is distinct from 'alice'", "t"}},
		mine:  answers{{"show my.secret", "alice"}},
	}, {
		name:  "SET in a committed transaction",
		alice: []string{"begin", "set work_mem = '7MB'", "set local maintenance_work_mem = '9MB'", "commit"},
		bob:   answers{{"show work_mem", "4MB"}, {"show maintenance_work_mem", "64MB"}},
		mine:  answers{{"show work_mem", "7MB"}, {"show maintenance_work_mem", "64MB"}},
	}, {
		name:  "SET, then ROLLBACK",
		alice: []string{"set work_mem = '7MB'", "begin", "set work_mem = '8MB'", "savepoint s", "set search_path = pg_catalog", "rollback"},
		bob:   answers{{"show work_mem", "4MB"}, {"show search_path", `"$user", public`}},
		mine:  answers{{"show work_mem", "7MB"}, {"show search_path", `"$user", public`}},
	}, {
		name:   "set_config",
		alice:  []string{"select set_config('work_mem', '7MB', false)"},
		bob:    answers{{"show work_mem", "4MB"}},
		mine:   answers{{"show work_mem", "7MB"}},
		leaves: true,
	}, {
		name:   "set_config inside a function",
		alice:  []string{"select leak_setting()"},
		bob:    answers{{"show work_mem", "4MB"}},
		mine:   answers{{"show work_mem", "7MB"}},
		leaves: true,
	}, {
		name:   "set_config inside a trigger",
		alice:  []string{"insert into leak_triggered values (1)"},
		bob:    answers{{"show work_mem", "4MB"}},
		mine:   answers{{"show work_mem", "7MB"}},
		leaves: true,
	}, {
		name:   "SET inside DO",
		alice:  []string{"do $$ begin set work_mem = '7MB'; end $$"},
		bob:    answers{{"show work_mem", "4MB"}},
		mine:   answers{{"show work_mem", "7MB"}},
		leaves: true,
	}, {
		name:  "search_path",
		alice: []string{"set search_path = leak_schema"},
		bob:   answers{{"select v from leak_twin", "public"}, {"select current_schema()", "public"}},
		mine:  answers{{"select v from leak_twin", "leak_schema"}, {"select current_schema()", "leak_schema"}},
	}, {
		name:  "role",
		alice: []string{"set role leak_role"},
		bob:   answers{{"select current_user", "postgres"}, {"show role", "none"}},
		mine:  answers{{"select current_user", "leak_role"}, {"select session_user", "postgres"}},
	}, {
		name:  "session authorization",
		alice: []string{"set session authorization leak_role"},
		bob:   answers{{"select session_user", "postgres"}, {"show is_superuser", "on"}},
		mine:  answers{{"select session_user", "leak_role"}, {"show is_superuser", "off"}},
	}, {
		name:  "session characteristics",
		alice: []string{"set session characteristics as transaction isolation level serializable, read only"},
		bob:   answers{{"show default_transaction_isolation", "read committed"}, {"show default_transaction_read_only", "off"}},
		mine:  answers{{"show default_transaction_isolation", "serializable"}},
	}, {
		name:  "replication role",
		alice: []string{"set session_replication_role = replica"},
		bob:   answers{{"show session_replication_role", "origin"}},
	}, {
		name:  "messages' level",
		alice: []string{"set client_min_messages = error", "set log_statement = 'all'"},
		bob:   answers{{"show client_min_messages", "notice"}, {"show log_statement", "none"}},
	}, {
		name:  "prepared names",
		alice: []string{"prepare p as select 'alice'"},
		bob: answers{
			{"execute p", "!26000"},
			{"prepare p as select 'bob'; execute p", "bob"},
		},
		mine: answers{{"execute p", "alice"}},
	}, {
		name:   "temporary table",
		alice:  []string{"create temp table hidden (v text)", "insert into hidden values ('alice')"},
		bob:    answers{{"select * from hidden", "!42P01"}, {"select count(*) from pg_class where relname = 'hidden'", "0"}},
		leaves: true,
	}, {
		name:   "temporary table that hides another",
		alice:  []string{"create temp table leak_twin (v text)"},
		bob:    answers{{"select v from leak_twin", "public"}},
		leaves: true,
	}, {
		name:   "temporary sequence and view",
		alice:  []string{"create temp sequence ts", "create temp view tv as select 1"},
		bob:    answers{{"select nextval('ts')", "!42P01"}, {"select * from tv", "!42P01"}},
		leaves: true,
	}, {
		name: "function and types in pg_temp",
		alice: []string{
			"create function pg_temp.leak_f() returns int language sql as 'select 7'",
			"create type pg_temp.leak_pair as (a int, b int)", "create domain pg_temp.leak_domain as int check (value < 9)",
		},
		mine: answers{
			{"select pg_temp.leak_f()", "7"}, {"select ((1, 2)::pg_temp.leak_pair).b", "2"},
			{"select 9::pg_temp.leak_domain", "!23514"},
		},
		bob: answers{
			{"select count(*) from pg_proc where proname = 'leak_f'", "0"},
			{"select count(*) from pg_type where typname like 'leak\\_%' and typtype in ('c', 'd') and typname ~ 'pair|domain'", "0"},
		},
		leaves: true,
	}, {
		name:   "cursor WITH HOLD",
		alice:  []string{"declare held cursor with hold for select 1"},
		bob:    answers{{"fetch all from held", "!34000"}},
		leaves: true,
	}, {
		name:   "LISTEN",
		alice:  []string{"listen leak_channel"},
		bob:    answers{{"notify leak_channel", ""}, {"select 'heard nothing'", "heard nothing"}},
		leaves: true,
	}, {
		name:   "advisory lock",
		alice:  []string{"select pg_advisory_lock(4711)", "select pg_advisory_lock_shared(4712)"},
		bob:    answers{{"select pg_try_advisory_xact_lock(4711)", "t"}, {"select pg_try_advisory_xact_lock(4712)", "t"}},
		leaves: true,
	}, {
		name:  "currval and lastval",
		alice: []string{"select nextval('leak_sequence')"},
		bob:   answers{{"select currval('leak_sequence')", "!55000"}, {"select lastval()", "!55000"}},
		// The connection that had it has gone to another client.
		mine: answers{{"select currval('leak_sequence')", "!0A000"}, {"select lastval()", "!0A000"}},
	}, {
		name:  "lastval of a row on one server",
		alice: []string{"insert into leak_serial (k) values (1)"},
		bob:   answers{{"select lastval()", "!55000"}, {"select currval('leak_serial_n_seq')", "!55000"}},
	}, {
		name:  "lastval of a row on another server",
		alice: []string{"insert into leak_serial (k) values (2)"},
		bob:   answers{{"select lastval()", "!55000"}},
	}, {
		name:  "lastval of a row on a third server",
		alice: []string{"insert into leak_serial (k) values (3)"},
		bob:   answers{{"select lastval()", "!55000"}},
	}, {
		name:  "open transaction of a client that is gone",
		alice: []string{"begin", "insert into leak_plain values (99)", "set local work_mem = '7MB'"},
		bob: answers{
			{"select count(*) from leak_plain where k = 99", "0"}, {"show work_mem", "4MB"},
			{"select pg_current_xact_id_if_assigned() is null", "t"},
		},
		leaves: true,
	}, {
		name:   "failed transaction of a client that is gone",
		alice:  []string{"begin", "savepoint s", "!select 1/0"},
		bob:    answers{{"select 'fine'", "fine"}, {"rollback", ""}},
		leaves: true,
	}, {
		name:  "session state of several servers",
		alice: []string{"set work_mem = '7MB'", "update leak_sharded set v = 'seen'"},
		bob:   answers{{"select distinct current_setting('work_mem') from leak_sharded where k = 1", "4MB"}, {"select distinct current_setting('work_mem') from leak_sharded where k = 2", "4MB"}, {"select distinct current_setting('work_mem') from leak_sharded where k = 3", "4MB"}},
		mine:  answers{{"select distinct current_setting('work_mem') from leak_sharded where k = 2", "7MB"}},
	},
}

// TestLeaks has two clients use the one connection there is to each server.
func TestLeaks(t *testing.T) {
	s := serve(t, "pool:\n  size: 1\n  queue_timeout: 20s\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	for _, ddl := range []string{
		"create role leak_role", "create schema leak_schema", "grant all on schema leak_schema to leak_role",
		"create table leak_twin (v text)", "insert into leak_twin values ('public')",
		"create table leak_schema.leak_twin (v text)", "insert into leak_schema.leak_twin values ('leak_schema')",
		"create function leak_setting() returns void language plpgsql as $$ begin perform set_config('work_mem', '7MB', false); end $$",
		"create function leak_trigger() returns trigger language plpgsql as $$ begin perform set_config('work_mem', '7MB', false); return new; end $$",
		"create table leak_triggered (k int)", "create trigger tr before insert on leak_triggered for each row execute function leak_trigger()",
		"create sequence leak_sequence", "create table leak_serial (k int primary key, n bigserial) partition by hash (k)", "create table leak_plain (k int)",
		"create table leak_sharded (k int primary key, v text) partition by hash (k)",
		"insert into leak_sharded values (1, ''), (2, ''), (3, ''), (4, ''), (5, ''), (6, '')",
	} {
		s.exec(t, c, ddl)
	}
	t.Cleanup(func() { s.admin(t, "drop role if exists leak_role") })
	t.Cleanup(func() { s.admin(t, "drop database if exists "+db+" with (force)") })
	for _, l := range leaks {
		t.Run(l.name, func(t *testing.T) { l.check(t, s.side, db) })
	}
}

func (l leak) check(t *testing.T, s *side, db string) {
	alice, bob := s.conn(t, db), s.conn(t, db)
	s.text(t, bob, "select 1") // it has used the connection before
	for _, sql := range l.alice {
		if failing, ok := strings.CutPrefix(sql, "!"); ok {
			s.failure(t, alice.PgConn(), failing)
			continue
		}
		s.text(t, alice, sql)
	}
	if l.leaves {
		l.expect(t, s, alice, l.mine)
		if err := alice.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The server process that she had alone is ending.
		eventually(t, 10*time.Second, "what she held is gone", func() bool { return l.seen(t, bob) })
	}
	l.expect(t, s, bob, l.bob)
	if !l.leaves {
		l.expect(t, s, alice, l.mine)
	}
	// And the other way round: looking has left nothing either.
	l.expect(t, s, s.conn(t, db), l.bob)
}

// seen tells whether another client sees what it must see by now.
func (l leak) seen(t *testing.T, c *pgx.Conn) bool {
	t.Helper()
	for _, pair := range l.bob {
		results, err := c.PgConn().Exec(ctxFor(t), pair[0]).ReadAll()
		if fails := strings.HasPrefix(pair[1], "!"); fails != (err != nil) {
			return false
		}
		var rows []string
		for _, r := range results {
			for _, row := range r.Rows {
				rows = append(rows, joinRow(row))
			}
		}
		if err == nil && strings.Join(rows, ",") != pair[1] {
			return false
		}
	}
	return true
}

func (l leak) expect(t *testing.T, s *side, c *pgx.Conn, want answers) {
	t.Helper()
	for _, pair := range want {
		sql, want := pair[0], pair[1]
		if code, ok := strings.CutPrefix(want, "!"); ok {
			if got := s.failure(t, c.PgConn(), sql); got.Code != code {
				t.Errorf("%s: %s %s, want %s", sql, got.Code, got.Message, code)
			}
			continue
		}
		if got := strings.Join(s.text(t, c, sql), ","); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if c.PgConn().TxStatus() != 'I' {
		return // "deallocate all" is no way out of a block
	}
	if _, err := c.Exec(ctxFor(t), "deallocate all"); err != nil {
		t.Errorf("deallocate all: %v", err)
	}
}

// TestLeaksOfAnswers has a client go away with answers still under way: the next one must not get them.
func TestLeaksOfAnswers(t *testing.T) {
	s := serve(t, "pool:\n  size: 1\n  queue_timeout: 20s\n")
	db := s.newDatabase(t)
	s.exec(t, s.conn(t, db), "create table big (k int primary key, v text) partition by hash (k)")
	for _, sent := range []struct {
		name  string
		bytes []byte
	}{
		{"rows", queryMessage("select repeat('x', 1000) from generate_series(1, 100000)")},
		{"a pipeline", []byte(strings.Repeat(string(queryMessage("select 'not for you'")), 500))},
		{"half a message", queryMessage("select 'not for you'")[:10]},
		{"COPY half done", append(queryMessage("copy big from stdin"), frame('d', []byte("1\tx\n2\ty\n3"))...)},
		{"COPY to the client", queryMessage("copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout")},
		{"an open block", queryMessage("begin; insert into big values (1, 'x'), (2, 'y'), (3, 'z'); select pg_sleep(100)")},
		{"Parse without Sync", frame('P', []byte("leak\x00select 'not for you'\x00\x00\x00"))},
	} {
		t.Run(sent.name, func(t *testing.T) {
			raw := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
			if _, err := raw.Write(sent.bytes); err != nil {
				t.Fatal(err)
			}
			raw.Close()
			c := s.conn(t, db)
			for range 5 {
				if got := s.one(t, c, "select 'mine'"); got != "mine" {
					t.Fatalf("read %q, want the own answer", got)
				}
			}
			if rows := s.text(t, c, "select k from big"); rows != nil {
				t.Errorf("rows %v were left", rows)
			}
		})
	}
}

// TestCurrval has one client use sequences in the ways that work, and see them where it has called nextval itself.
func TestCurrval(t *testing.T) {
	s := serve(t, "pool:\n  size: 2\n  queue_timeout: 20s\n")
	db := s.newDatabase(t)
	c, other := s.conn(t, db), s.conn(t, db)
	s.exec(t, c, "create sequence cs")
	s.exec(t, c, "create table ct (k serial primary key, v text)")
	l := leak{}
	l.expect(t, s.side, c, answers{
		{"select nextval('cs')", "1"}, {"select currval('cs'), lastval()", "1|1"},
		{"insert into ct (v) values ('x') returning k", "1"}, {"select currval('ct_k_seq'), lastval()", "1|1"},
		{"select nextval('cs'), currval('cs')", "2|2"}, {"discard sequences", ""}, {"select currval('cs')", "!55000"},
	})
	// Whoever shares the connections, a block keeps its own.
	s.exec(t, c, "begin")
	l.expect(t, s.side, c, answers{{"select nextval('cs')", "3"}})
	l.expect(t, s.side, other, answers{{"select nextval('cs')", "4"}, {"select currval('cs')", "4"}})
	l.expect(t, s.side, c, answers{{"select currval('cs')", "3"}})
	s.exec(t, c, "commit")
	s.exec(t, c, "discard all")
	l.expect(t, s.side, c, answers{{"select lastval()", "!55000"}})
	s.exec(t, other, "discard all")
	testCurrvalKept(t, s, db)
}

// testCurrvalKept has clients share two connections, one of which holds what another client's sequences are at.
func testCurrvalKept(t *testing.T, s *served, db string) {
	l := leak{}
	first, second, third := s.conn(t, db), s.conn(t, db), s.conn(t, db)
	// No connection but the one that is in use is lent to others.
	s.exec(t, first, "insert into ct (v) values ('first')")
	s.exec(t, third, "begin")
	l.expect(t, s.side, third, answers{{"select 1", "1"}})
	s.exec(t, third, "rollback")
	l.expect(t, s.side, second, answers{{"select count(*) > 0 from ct", "t"}})
	mine := answers{{"select currval('ct_k_seq') = k, lastval() = k from ct where v = 'first'", "t|t"}}
	l.expect(t, s.side, first, mine)
	// Once it has asked, its connection is its own, whatever the others need.
	s.exec(t, second, "begin")
	l.expect(t, s.side, second, answers{{"insert into ct (v) values ('second') returning k > 0", "t"}})
	l.expect(t, s.side, first, mine)
	s.exec(t, second, "commit")
	l.expect(t, s.side, first, mine)
	// Who has not asked yet loses its values to those who need the connection, and is told so.
	l.expect(t, s.side, third, answers{
		{"select nextval('cs') > 0", "t"}, {"select currval('ct_k_seq')", "!55000"},
	})
	s.exec(t, third, "discard all")
	l.expect(t, s.side, third, answers{{"select nextval('cs') > 0", "t"}})
	l.expect(t, s.side, second, answers{{"select count(*) > 0 from ct", "t"}})
	l.expect(t, s.side, third, answers{
		{"select currval('cs')", "!0A000"}, {"select lastval()", "!0A000"}, {"select currval('nosuch')", "!42P01"},
		{"select nextval('cs') = currval('cs')", "t"}, {"select currval('cs') = lastval()", "t"}, {"select currval('ct_k_seq')", "!0A000"},
	})
	s.exec(t, third, "discard sequences")
	l.expect(t, s.side, third, answers{{"select currval('ct_k_seq')", "!55000"}})
}
