package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestSyncWait stops the replay everywhere: a commit that shall wait for a standby says, after the time it is given, that
// it is durable and not replicated; others do not wait.
func TestSyncWait(t *testing.T) {
	r := serveReplicated(t, "replication:\n  sync_timeout: 700ms\n")
	db := r.kv(t, 8)
	r.exec(t, r.conn(t, db), "create table strict (k int primary key) partition by hash (k) with (pleiad.replication = sync)")
	r.exec(t, r.conn(t, db), "insert into strict values (100)") // the servers are told who confirms
	time.Sleep(3100 * time.Millisecond)                         // from here on PostgreSQL alone waits
	r.exec(t, r.conn(t, db), "create role careful login")
	t.Cleanup(func() {
		c := r.conn(t, db)
		r.exec(t, c, "drop owned by careful; drop role careful")
	})
	r.exec(t, r.conn(t, db), "grant all on kv to careful; alter role careful set pleiad.replication = 'sync'")
	r.pauseReplay(t, r.standbys()...)
	quick := r.low(t, db, nil)
	for _, sql := range []string{"update kv set v = 1 where k = 1", "update kv set v = 1"} {
		if err := quick.Exec(t.Context(), sql).Close(); err != nil {
			t.Errorf("async: %s: %v", sql, err)
		}
	}
	for name, x := range map[string]struct {
		sql, reset string
		params     []string
	}{
		"session":     {"set pleiad.replication = sync; update kv set v = 2 where k = 2", "reset pleiad.replication", nil},
		"transaction": {"begin; set local pleiad.replication = sync; update kv set v = 3 where k = 3; commit", "", nil},
		"table":       {"insert into strict values (1)", "", nil},
		"role":        {"update kv set v = 4 where k = 4", "", []string{"user=careful"}},
	} {
		c := r.low(t, db, nil, x.params...)
		began := time.Now()
		e := r.failure(t, c, x.sql)
		if took := time.Since(began); e.Code != "40003" || !strings.Contains(e.Message, "durable on the primary") || took < 700*time.Millisecond {
			t.Errorf("%s: %s %s, after %s", name, e.Code, e.Message, took)
		}
	}
	// Over several backends nothing is decided before every part can outlive its primary; flushed is enough for that,
	// and the standbys receive. The decision itself has to be applied.
	e := r.failure(t, r.low(t, db, nil), "set pleiad.replication = sync; update kv set v = 5 where k > 4")
	if e.Code != "40003" {
		t.Errorf("several backends: %s %s", e.Code, e.Message)
	}
	r.resumeReplay(t, r.standbys()...)
	noPrepared(t, r.served, db)
	c := r.conn(t, db)
	if got := r.one(t, c, "select string_agg(v::text, ' ' order by k) from kv"); got != "1 2 3 4 5 5 5 5" {
		t.Errorf("the rows are %s", got)
	}
	// The table's option can be taken back, by its owner.
	r.exec(t, c, "alter table strict set (pleiad.replication = async)")
	r.pauseReplay(t, r.standbys()...)
	r.exec(t, r.conn(t, db), "insert into strict values (2)")
	r.resumeReplay(t, r.standbys()...)
	visitor := r.low(t, db, nil, "user=careful")
	if e := r.failure(t, visitor, "alter table strict set (pleiad.replication = sync)"); e.Code != "42501" {
		t.Errorf("by another role: %s %s", e.Code, e.Message)
	}
}

// TestSyncDegrade lets commits go on without standbys after a while, with a warning, and returns to waiting by itself.
func TestSyncDegrade(t *testing.T) {
	r := serveReplicated(t, "replication:\n  default: sync\n  sync_timeout: 500ms\n  when_missing: degrade\nfailover:\n  detect: 1s\n")
	db := r.kv(t, 1)
	backend := r.owner(t, db, 1)
	var warned []string
	c := r.low(t, db, func(n *pgconn.Notice) { warned = append(warned, n.Severity+" "+n.Message) })
	for _, s := range r.cluster.Replicas(backend) {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Resume() })
	}
	for i := range 2 {
		began := time.Now()
		if err := c.Exec(t.Context(), "update kv set v = v + 1 where k = 1").Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); i == 0 && took < 500*time.Millisecond || took > patience(5*time.Second) {
			t.Errorf("commit %d took %s", i, took)
		}
	}
	if len(warned) != 2 || !strings.Contains(warned[0], "WARNING") || !strings.Contains(warned[0], "too few standbys") {
		t.Errorf("warnings: %q", warned)
	}
	if log := r.program.stderr.String(); !strings.Contains(log, "replication_degraded") {
		t.Error("the log does not tell")
	}
	for _, s := range r.cluster.Replicas(backend) {
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 30*time.Second, "commits wait again", func() bool {
		return strings.Contains(r.program.stderr.String(), "replication_restored")
	})
	warned = nil
	if err := c.Exec(t.Context(), "update kv set v = v + 1 where k = 1").Close(); err != nil || len(warned) > 0 {
		t.Errorf("with the standbys back: %v, warnings %q", err, warned)
	}
}

// TestAsyncOverSeveral stops every standby under an asynchronous transaction over several backends: its parts wait for
// standbys' disks, so that none is lost alone, but only while there are any. Nobody is warned, and nothing fails.
func TestAsyncOverSeveral(t *testing.T) {
	r := serveReplicated(t, "replication:\n  sync_timeout: 30s\nfailover:\n  detect: 1s\n")
	db := r.kv(t, 8)
	var warned []string
	c := r.low(t, db, func(n *pgconn.Notice) { warned = append(warned, n.Message) })
	update := func() time.Duration {
		t.Helper()
		began := time.Now()
		if err := c.Exec(t.Context(), "update kv set v = v + 1").Close(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	update()                            // the servers are told who confirms
	time.Sleep(3100 * time.Millisecond) // from here on PostgreSQL alone waits
	for _, s := range r.standbys() {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Resume() })
	}
	var waited []int64
	for range 3 {
		took := update()
		waited = append(waited, took.Milliseconds())
		if took > patience(15*time.Second) {
			t.Errorf("it took %s", took)
		}
	}
	for _, s := range r.standbys() {
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	r.caughtUp(t)
	update()
	if len(warned) > 0 {
		t.Errorf("warnings: %q", warned)
	}
	if got := r.one(t, r.conn(t, db), "select string_agg(distinct v::text, ' ') from kv"); got != "5" {
		t.Errorf("the rows are %s", got)
	}
	noPrepared(t, r.served, db)
	t.Logf("updates with the standbys stopped: %v ms", waited)
}
