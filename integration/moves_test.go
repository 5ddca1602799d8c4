package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// job starts a job by SQL and waits for its end.
func (s *served) job(t *testing.T, c *pgx.Conn, limit time.Duration, call string) (id string) {
	t.Helper()
	id = s.one(t, c, "select pleiad."+call)
	s.await(t, c, limit, id, "done")
	return id
}

func (s *served) await(t *testing.T, c *pgx.Conn, limit time.Duration, id, want string) {
	t.Helper()
	var state string
	eventually(t, limit, "job "+id+" to end", func() bool {
		state = s.one(t, c, "select state from pleiad.jobs where id = "+id)
		return state != "queued" && state != "running" && state != "cancelling"
	})
	if state != want {
		t.Fatalf("job %s is %s: %s\n%s", id, state, s.one(t, c, "select detail from pleiad.jobs where id = "+id),
			strings.Join(s.text(t, c, "select shard, source, target, step, attempts, detail from pleiad.moves where job = "+id), "\n"))
	}
}

// noLeftovers looks for what moves make and must not leave.
func (s *served) noLeftovers(t *testing.T, db string) {
	t.Helper()
	for _, server := range s.servers() {
		c := server.conn(t, db)
		for what, sql := range map[string]string{
			"slots":        "select slot_name from pg_replication_slots where slot_name like 'pleiad_move%'",
			"publications": "select pubname from pg_publication",
			"incoming":     "select move from pleiad.incoming",
			"detached": "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace " +
				"where n.nspname ~ '^pleiad_[0-9]+$' and c.relkind = 'r' and not c.relispartition",
			"schemas": "select nspname from pg_namespace n where nspname ~ '^pleiad_[0-9]+$' " +
				"and not exists (select from pg_class c where c.relnamespace = n.oid)",
		} {
			if left := server.text(t, c, sql); len(left) > 0 {
				t.Errorf("%s has %s left: %v", server.name, what, left)
			}
		}
	}
}

// TestWalk goes from two backends to three, to four and back to three while clients work.
func TestWalk(t *testing.T) {
	needPleiad(t)
	cluster, err := devcluster.Start(context.Background(), devcluster.Options{Dir: filepath.Join(suite.dir, "walk"), Backends: 4, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := serveOn(t, cluster, "rebalancer:\n  max_parallel: 3\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.job(t, c, time.Minute, "remove_backend('b4')")
	s.job(t, c, time.Minute, "remove_backend('b3')")
	clients, shards := 8, 6
	if long() {
		clients, shards = 16, 32
	}
	l := newMoveLoad(t, s, db, shards, clients)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { l.run(ctx) })
	defer load.Wait()
	defer stop()
	rate := func(what string, f func()) {
		from, began := l.statements.Load(), time.Now()
		l.longest.Store(0)
		f()
		took := time.Since(began)
		t.Logf("%s: %s, %.0f steps a second, the longest %s", what, took.Round(time.Millisecond),
			float64(l.statements.Load()-from)/took.Seconds(), time.Duration(l.longest.Load()).Round(time.Millisecond))
	}
	rate("before", func() { pause(t, time.Second) })
	for _, call := range []string{"add_backend('b3')", "rebalance()", "add_backend('b4')", "rebalance()", "remove_backend('b4')"} {
		rate(call, func() { s.job(t, c, 10*time.Minute, call) })
	}
	rate("after", func() { pause(t, time.Second) })
	stop()
	load.Wait()
	l.check(t)
	s.noLeftovers(t, db)
	noPrepared(t, s, db)
	s.verified(t, db)
	t.Logf("%s moves, %s bytes; the worst hold %s ms", s.one(t, c, "select count(*) from pleiad.moves where step = 'done'"),
		s.one(t, c, "select sum(bytes_copied) from pleiad.moves"), s.one(t, c, "select round(max(worst_hold_ms)::numeric, 1) from pleiad.jobs"))
}

// TestMoveToNobody: no shard moves to a backend that has been removed, where the next add_backend() would throw it away, and no
// job is done that has left a move undone.
func TestMoveToNobody(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	for _, sql := range []string{
		"set pleiad.shard_count = 6", "create table a (k int primary key) partition by hash (k)",
		"insert into a select generate_series(1, 300)",
	} {
		s.exec(t, c, sql)
	}
	s.job(t, c, time.Minute, "remove_backend('b3')")
	failure := func(sql string) string {
		_, err := c.Exec(ctxFor(t), sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			t.Fatalf("%s: %v", sql, err)
		}
		return pg.Code + " " + pg.Message
	}
	if got := failure("select pleiad.move_shard(0, 'b3')"); got != `55000 backend "b3" takes no part` {
		t.Errorf("a move to b3: %s", got)
	}
	home := s.server("b1")
	h := home.conn(t, db)
	group := home.one(t, h, "select id from pleiad.colocation")
	at := func(shard int) string {
		return home.one(t, h, fmt.Sprintf("select backend from pleiad.placement where shard = %d", shard))
	}
	// What is planned before the backend goes comes to the same end.
	id := home.one(t, h, "insert into pleiad.job (kind, options, role) values ('move', '{\"group\": "+group+
		", \"shard\": 0, \"target\": \"b3\"}', current_user) returning id")
	s.await(t, c, time.Minute, id, "failed")
	if got := home.one(t, h, "select detail from pleiad.job where id = "+id); !strings.Contains(got, `the backend takes no part: "b3"`) {
		t.Errorf("a planned move to b3: %s", got)
	}
	s.job(t, c, time.Minute, "add_backend('b3')")
	if n := s.one(t, c, "select count(*) from a"); n != "300" {
		t.Errorf("%s rows of 300 are left", n)
	}
	s.verified(t, db)

	// A process ended after one move had failed.
	home.exec(t, h, "begin; insert into pleiad.job (kind, options, role, state) values ('rebalance', '{}', current_user, 'running'); "+
		"insert into pleiad.move (job, group_id, shard, source, target, step, detail) values "+
		"((select max(id) from pleiad.job), "+group+", 0, "+at(0)+", 2, 'failed', 'no room'); commit")
	id = home.one(t, h, "select max(id) from pleiad.job")
	s.await(t, c, time.Minute, id, "failed")
	if got := home.one(t, h, "select detail from pleiad.job where id = "+id); !strings.Contains(got, "of shard 0: no room") {
		t.Errorf("a job with a failed move: %s", got)
	}
	// Another job moves the shard now.
	home.exec(t, h, "begin; insert into pleiad.job (kind, options, role, state) values ('rebalance', '{}', current_user, 'done'); "+
		"insert into pleiad.move (job, group_id, shard, source, target) values ((select max(id) from pleiad.job), "+group+", 0, "+at(0)+", 2); commit")
	if got, want := failure("select pleiad.resume_job("+id+")"), "55006 a shard that job "+id+" would move is moving already"; got != want {
		t.Errorf("resumed: %s, want %s", got, want)
	}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal(fmt.Errorf("pause: %w", t.Context().Err()))
	case <-time.After(d):
	}
}

// movePoints are the places in a move where the proxy may die.
var movePoints = []string{
	"move-created", "move-published", "move-slot", "move-copied-table", "move-indexed", "move-compared", "move-locked",
	"move-fenced", "move-prepared-switch", "move-decided", "move-settled", "move-slot-dropped", "move-dropped",
}

// TestMoveSurvivesTheProxy kills the proxy at each step of a move, with clients at work; the next one goes on with it.
func TestMoveSurvivesTheProxy(t *testing.T) {
	s := serve(t, "transactions:\n  recovery_interval: 200ms\n")
	db := s.newDatabase(t)
	l := newMoveLoad(t, s, db, 3, 4)
	l.broken = true
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { l.run(ctx) })
	defer load.Wait()
	defer stop()
	targets := []string{"b1", "b2", "b3"}
	points := movePoints
	if !long() {
		points = []string{"move-copied-table", "move-fenced", "move-decided", "move-slot-dropped"}
	}
	for i, point := range points {
		restart(t, s, "PLEIAD_FAILPOINT="+point)
		c := s.conn(t, db)
		from := s.one(t, c, "select backend from pleiad.shards where table_name = 'item' and shard = 1")
		to := targets[i%3]
		if to == from {
			to = targets[(i+1)%3]
		}
		id := s.one(t, c, "select pleiad.move_shard(1, '"+to+"')")
		select {
		case <-s.program.exited:
		case <-time.After(30 * time.Second):
			t.Fatalf("the proxy did not come to %s", point)
		}
		s.env = nil
		s.start(t)
		c = s.conn(t, db)
		s.await(t, c, 30*time.Second, id, "done")
		if at := s.one(t, c, "select backend from pleiad.shards where table_name = 'item' and shard = 1"); at != to {
			t.Errorf("killed at %s: shard 1 is on %s, not %s", point, at, to)
		}
		s.noLeftovers(t, db)
		if t.Failed() {
			t.Fatalf("killed at %s", point)
		}
	}
	stop()
	load.Wait()
	noPrepared(t, s, db)
	l.check(t)
}

// long says that tests may take minutes: PLEIAD_TEST_LONG=1.
func long() bool { return os.Getenv("PLEIAD_TEST_LONG") != "" }

// restart stops the proxy and starts it with another environment.
func restart(t *testing.T, s *served, env ...string) {
	t.Helper()
	if err := s.program.stop(); err != nil {
		t.Fatal(err)
	}
	s.env = env
	s.start(t)
}
