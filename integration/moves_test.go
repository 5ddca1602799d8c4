package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

// TestMovesUnderLoad empties a backend and fills it again while clients work.
func TestMovesUnderLoad(t *testing.T) {
	s := serve(t, "rebalancer:\n  max_parallel: 3\n")
	db := s.newDatabase(t)
	l := newMoveLoad(t, s, db, 6, 8)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { l.run(ctx) })
	c := s.conn(t, db)
	defer func() {
		stop()
		load.Wait()
	}()
	pause(t, 500*time.Millisecond)
	before := l.statements.Load()
	began := time.Now()
	id := s.job(t, c, time.Minute, "drain('b3')")
	if n := s.one(t, c, "select count(*) from pleiad.shards where backend = 'b3'"); n != "0" {
		t.Errorf("%s shards are left on b3", n)
	}
	s.exec(t, s.server("b1").conn(t, db), "update pleiad.backend set state = 'active'; select pleiad.begin_ddl()")
	back := s.job(t, c, time.Minute, "rebalance()")
	stop()
	load.Wait()
	l.check(t)
	s.noLeftovers(t, db)
	noPrepared(t, s, db)
	verify := s.job(t, c, time.Minute, "verify()")
	for _, f := range s.text(t, c, "select object, backend, problem from pleiad.findings where job = "+verify) {
		t.Error(f)
	}
	t.Logf("%s and %s moves, worst hold %s ms; %d statements in %s, the longest %s",
		s.one(t, c, "select moves_done from pleiad.jobs where id = "+id), s.one(t, c, "select moves_done from pleiad.jobs where id = "+back),
		s.one(t, c, "select max(worst_hold_ms) from pleiad.jobs"), l.statements.Load()-before, time.Since(began).Round(time.Millisecond),
		time.Duration(l.longest.Load()).Round(time.Millisecond))
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
