package catalog

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/router"
)

// newMatview gives a materialized view over another table of ann's, who may not make temporary tables herself.
func newMatview(t *testing.T) (*testDB, *client) {
	t.Helper()
	db, c := newClient(t)
	mustExec(t, db.conns[0], "REVOKE TEMPORARY ON DATABASE "+db.name+" FROM PUBLIC, ann")
	mustExec(t, c.conns[0], `CREATE TABLE base (a int, b text); CREATE MATERIALIZED VIEW mv AS SELECT a, upper(b) AS b FROM base WITH NO DATA;
		CREATE UNIQUE INDEX ON mv (a)`)
	return db, c
}

// rule is all that a materialized view's definition consists of, read without its lock.
const rule = `SELECT concat_ws(' ', md5(w.ev_action::text), (SELECT string_agg(concat_ws(' ', refclassid, refobjid, refobjsubid,
	deptype), ',' ORDER BY 1) FROM pg_depend d WHERE d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass)) FROM pg_rewrite w WHERE ev_class = 'mv'::regclass`

const openMV = "SELECT pleiad.open_refresh('public.mv', false)"

// failsWith checks that the connection's statement fails with this SQLSTATE.
func failsWith(t *testing.T, c *pgx.Conn, code, sql string) {
	t.Helper()
	_, err := c.PgConn().Exec(t.Context(), sql).ReadAll()
	if err == nil || !strings.Contains(err.Error(), "SQLSTATE "+code) {
		t.Errorf("%s: %v, want %s", sql, err, code)
	}
}

func TestRefreshTakesTheGatheredRows(t *testing.T) {
	db, c := newMatview(t)
	ann, other := c.conns[0], db.conns[0]
	before := text(t, other, rule)
	for _, concurrently := range []string{"", "CONCURRENTLY "} {
		if concurrently != "" { // PostgreSQL makes tables of its own then
			failsWith(t, ann, "42501", "SELECT pleiad.open_refresh('public.mv', true)")
			mustExec(t, other, "GRANT TEMPORARY ON DATABASE "+db.name+" TO ann")
		}
		mustExec(t, ann, "BEGIN; SET CONSTRAINTS ALL IMMEDIATE")
		if got := text(t, ann, "SELECT pleiad.open_refresh('public.mv', $1)", concurrently != ""); got != "ann" {
			t.Fatalf("owner %s", got)
		}
		mustExec(t, ann, "INSERT INTO pg_temp.\"pleiad refresh\" VALUES (1, 'x'), (2, '"+concurrently+"')")
		mustExec(t, ann, "SELECT pleiad.begin_refresh('mv')")
		mustExec(t, ann, "REFRESH MATERIALIZED VIEW "+concurrently+"mv")
		if got := text(t, other, rule); got != before {
			t.Errorf("another session sees the rule changed:\n%s\nwas\n%s", got, before)
		}
		if concurrently != "" { // which lets readers go on
			if got := text(t, other, "SELECT string_agg(b, ',' ORDER BY a) FROM mv"); got != "x," {
				t.Errorf("another session reads %q", got)
			}
		}
		mustExec(t, ann, "SELECT pleiad.end_refresh('mv'); COMMIT")
		if got := text(t, ann, "SELECT string_agg(b, ',' ORDER BY a) FROM mv"); got != "x,"+concurrently {
			t.Errorf("rows %q", got)
		}
		if got := text(t, other, rule); got != before {
			t.Errorf("the rule is\n%s\nwas\n%s", got, before)
		}
	}
	mustExec(t, ann, "INSERT INTO base VALUES (7, 'seven'); REFRESH MATERIALIZED VIEW mv")
	if got := text(t, ann, "SELECT b FROM mv"); got != "SEVEN" {
		t.Errorf("a REFRESH of the view's own query gives %s", got)
	}
	const left = "SELECT count(*)::text FROM (SELECT FROM pg_class WHERE relname LIKE 'pleiad refresh%' UNION ALL SELECT FROM pleiad.refresh) x"
	if got := text(t, other, left); got != "0" {
		t.Errorf("%s things are left behind", got)
	}
}

// TestRefreshLeavesNothingWhenItsServerProcessDies: everything is one transaction's.
func TestRefreshLeavesNothingWhenItsServerProcessDies(t *testing.T) {
	db, c := newMatview(t)
	ann, other := c.conns[0], db.conns[0]
	before := text(t, other, rule)
	pid := text(t, ann, "SELECT pg_backend_pid()::text")
	mustExec(t, ann, "BEGIN; "+openMV+"; SELECT pleiad.begin_refresh('mv'); REFRESH MATERIALIZED VIEW mv")
	mustExec(t, other, "SELECT pg_terminate_backend("+pid+")")
	for text(t, other, "SELECT count(*)::text FROM pg_stat_activity WHERE pid = "+pid) != "0" {
	}
	if got := text(t, other, rule); got != before {
		t.Errorf("the rule is\n%s\nwas\n%s", got, before)
	}
	mustExec(t, other, "BEGIN; "+openMV+"; SELECT pleiad.begin_refresh('mv'); REFRESH MATERIALIZED VIEW mv; SELECT pleiad.end_refresh('mv'); COMMIT")
}

// TestRefreshCannotBeMisused: its functions are everybody's to call.
func TestRefreshCannotBeMisused(t *testing.T) {
	db, c := newMatview(t)
	ann, other := c.conns[0], db.conns[0]
	before := text(t, other, rule)
	failsWith(t, ann, "55000", "SELECT pleiad.begin_refresh('mv')")
	failsWith(t, ann, "55000", "SELECT pleiad.end_refresh('mv')")
	failsWith(t, ann, "55000", "BEGIN; "+openMV+"; SELECT pleiad.begin_refresh('mv'); COMMIT")
	mustExec(t, ann, "ROLLBACK")
	for sql, code := range map[string]string{
		`ALTER TABLE pg_temp."pleiad refresh" ALTER COLUMN a TYPE text`:           "42501",
		`ALTER TABLE pg_temp."pleiad refresh" DROP COLUMN b CASCADE`:              "42501",
		`DROP TABLE pg_temp."pleiad refresh"`:                                     "42501",
		`CREATE RULE r AS ON INSERT TO pg_temp."pleiad refresh" DO ALSO SELECT 1`: "42501",
		"SELECT pleiad.begin_refresh('narrow')":                                   "55000", // a row of mv's is none of this view's
		"SELECT pleiad.touch_matview(1, true)":                                    "42501",
		"DELETE FROM pleiad.refresh":                                              "42501",
		"INSERT INTO pleiad.refresh SELECT 1, NULL":                               "42501",
	} {
		mustExec(t, ann, "BEGIN; CREATE MATERIALIZED VIEW narrow AS SELECT 1 AS a; "+openMV)
		failsWith(t, ann, code, sql)
		mustExec(t, ann, "ROLLBACK")
	}
	bob := db.client("bob").conns[0]
	if got := text(t, bob, openMV); got != "NULL" {
		t.Errorf("somebody else opens a refresh: %s", got)
	}
	failsWith(t, bob, "42501", "SELECT pleiad.begin_refresh('mv')")
	failsWith(t, bob, "42501", "SELECT pleiad.end_refresh('mv')")
	mustExec(t, other, "GRANT TEMPORARY ON DATABASE "+db.name+" TO ann")
	mustExec(t, ann, `CREATE TEMPORARY TABLE "pleiad refresh" (a int, b text)`)
	failsWith(t, ann, "55000", "SELECT pleiad.begin_refresh('mv')") // her own table's types she could change
	failsWith(t, ann, "42P07", openMV)
	if got := text(t, other, rule); got != before {
		t.Errorf("the rule is\n%s\nwas\n%s", got, before)
	}
}

func TestRefreshLeavesErrorsToPostgreSQL(t *testing.T) {
	_, c := newMatview(t)
	ann := c.conns[0]
	for _, sql := range []string{
		"SELECT pleiad.open_refresh('public.base', false)", "SELECT pleiad.open_refresh('public.nothing', false)",
		"SELECT pleiad.open_refresh('public.mv', true)", // it is not populated
	} {
		if got := text(t, ann, sql); got != "NULL" {
			t.Errorf("%s: %s", sql, got)
		}
	}
	mustExec(t, ann, "REFRESH MATERIALIZED VIEW mv; BEGIN; DECLARE c CURSOR FOR SELECT * FROM mv")
	if got := text(t, ann, openMV); got != "NULL" {
		t.Errorf("with a cursor on the view: %s", got)
	}
	mustExec(t, ann, "ROLLBACK; DROP INDEX mv_a_idx; CREATE UNIQUE INDEX ON mv (a) WHERE a > 1; CREATE UNIQUE INDEX ON mv ((a + 1))")
	if got := text(t, ann, "SELECT pleiad.open_refresh('public.mv', true)"); got != "NULL" {
		t.Errorf("without an index of use: %s", got)
	}
	mustExec(t, ann, "BEGIN READ ONLY")
	if got := text(t, ann, openMV); got != "NULL" {
		t.Errorf("in a read-only transaction: %s", got)
	}
}

// TestRefreshKeepsTheSchema: a schema change waits for it, another refresh does not, and an old snapshot is told.
func TestRefreshKeepsTheSchema(t *testing.T) {
	db, c := newMatview(t)
	ann, other, third := c.conns[0], db.conns[0], db.client("bob").conns[0]
	const share = "SELECT pleiad.share_ddl('REFRESH')"
	mustExec(t, ann, "BEGIN; "+share)
	mustExec(t, third, share)
	failsWith(t, other, "55P03", "SET lock_timeout = 1; SELECT pleiad.begin_ddl()")
	mustExec(t, other, "RESET lock_timeout; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT epoch FROM pleiad.epoch")
	mustExec(t, ann, "COMMIT; SELECT pleiad.begin_ddl()")
	failsWith(t, other, "40001", share)
	mustExec(t, other, "ROLLBACK; "+share)
	failsWith(t, other, "25006", "BEGIN READ ONLY; "+share)
}

// TestSnapshotDoesNotWaitForARefresh: it would be held up for as long as the query runs. What the query calls it knows all the same.
func TestSnapshotDoesNotWaitForARefresh(t *testing.T) {
	db, c := newMatview(t)
	mustExec(t, c.conns[0], "CREATE MATERIALIZED VIEW sets AS SELECT set_config('work_mem', '1MB', false) WITH NO DATA")
	mustExec(t, c.conns[0], "BEGIN; REFRESH MATERIALIZED VIEW mv")
	mustExec(t, db.conns[0], "SET lock_timeout = '10s'")
	s, err := LoadSnapshot(t.Context(), pgxQuerier{db.conns[0]})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]router.Reach{"mv": 0, "sets": router.ReachState} {
		if got := s.Relations["public"][name].RefreshReach & router.ReachState; got != want {
			t.Errorf("%s: reach %d, want %d", name, got, want)
		}
	}
}
