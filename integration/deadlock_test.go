package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// deadlockLimit is the promise: how long a deadlock over several servers lasts at most.
const deadlockLimit = 2 * time.Second

// actors are sessions that play a scenario in which they end up waiting for each other.
type actors struct {
	*served
	t     *testing.T
	db    string
	keyOn map[string]int
	conns map[string]*pgx.Conn
	locks func() []string
	// inProxy is how many of the actors of a clash wait for something else than a lock.
	inProxy int
}

func newActors(t *testing.T, s *served) *actors {
	t.Helper()
	a := &actors{served: s, t: t, conns: map[string]*pgx.Conn{}}
	a.db, a.keyOn = faultTable(t, s)
	a.locks = s.onEach(t, a.db, "select count(distinct pid) from pg_locks where not granted")
	return a
}

// anew is other actors in the same database.
func (a *actors) anew(t *testing.T) *actors {
	other := *a
	other.t, other.conns = t, map[string]*pgx.Conn{}
	return &other
}

// as runs one statement of an actor's; <b1> stands for a key that lies on b1.
func (a *actors) as(who, sql string) error {
	c := a.conns[who]
	if c == nil {
		c = a.conn(a.t, a.db)
		a.conns[who] = c
	}
	for name, k := range a.keyOn {
		sql = strings.ReplaceAll(sql, "<"+name+">", fmt.Sprint(k))
	}
	ctx, stop := context.WithTimeout(context.Background(), callLimit)
	defer stop()
	return c.PgConn().Exec(ctx, sql).Close()
}

func (a *actors) must(who, sql string) {
	a.t.Helper()
	if err := a.as(who, sql); err != nil {
		a.t.Fatalf("%s: %s: %v", who, sql, err)
	}
}

// result is how an actor's last statement ended.
type result struct {
	who  string
	err  error
	took time.Duration
}

// clash starts the actors' statements one after the other, each once the one before waits for a lock, and gives their
// ends in the order in which they came.
func (a *actors) clash(steps ...[2]string) (ends []result) {
	a.t.Helper()
	results := make(chan result, len(steps))
	var last time.Time
	for i, st := range steps {
		last = time.Now()
		go func() {
			err := a.as(st[0], st[1])
			results <- result{st[0], err, time.Since(last)}
		}()
		if i == len(steps)-1 {
			break
		}
		eventually(a.t, 20*time.Second, fmt.Sprintf("%d of the actors wait", i+1), func() bool {
			sum := 0
			for _, n := range a.locks() {
				var k int
				if _, err := fmt.Sscan(n, &k); err != nil {
					a.t.Fatal(err)
				}
				sum += k
			}
			return sum >= min(i+1, len(steps)-a.inProxy)
		})
	}
	for range steps {
		select {
		case r := <-results:
			ends = append(ends, r)
		case <-time.After(patience(10 * time.Second)):
			a.t.Fatalf("they wait for each other: only %v ended", ends)
		}
	}
	return ends
}

// broken checks that the deadlock cost one actor its transaction, in time and in PostgreSQL's words.
func (a *actors) broken(ends []result, victim string) {
	a.t.Helper()
	for _, r := range ends {
		if r.who != victim {
			if r.err != nil {
				a.t.Errorf("%s: %v", r.who, r.err)
			}
			continue
		}
		var pg *pgconn.PgError
		if !errors.As(r.err, &pg) || pg.Code != "40P01" || pg.Message != "deadlock detected" {
			a.t.Errorf("%s: %v, want 40P01", r.who, r.err)
			continue
		}
		if !strings.Contains(pg.Detail, " waits for ") || !strings.Contains(pg.Detail, "blocked by ") {
			a.t.Errorf("detail %q", pg.Detail)
		}
		if r.took > patience(deadlockLimit) {
			a.t.Errorf("%s was told after %s, want %s at most", r.who, r.took, deadlockLimit)
		}
	}
}

const (
	lockB1 = "update f set v = 'x' where k = <b1>"
	lockB2 = "update f set v = 'x' where k = <b2>"
	lockB3 = "update f set v = 'x' where k = <b3>"
)

// TestDeadlock: transactions that wait for each other on several servers, as no server can see. The youngest is given up,
// whatever it waits in; all others go on at once, before their clients hear of anything.
func TestDeadlock(t *testing.T) {
	s := serve(t, "")
	all := newActors(t, s)
	for _, c := range []struct {
		name   string
		setup  [][2]string // done before; who begins first is the oldest
		clash  [][2]string
		victim string
		after  [][2]string
	}{
		{"two in opposite order",
			[][2]string{{"old", "begin"}, {"old", lockB1}, {"young", "begin"}, {"young", lockB2}},
			[][2]string{{"young", lockB1}, {"old", lockB2}}, "young", nil},
		{"the young one closes the ring",
			[][2]string{{"old", "begin"}, {"old", lockB1}, {"young", "begin"}, {"young", lockB2}},
			[][2]string{{"old", lockB2}, {"young", lockB1}}, "young", nil},
		{"three in a ring",
			[][2]string{{"old", "begin"}, {"old", lockB1}, {"middle", "begin"}, {"middle", lockB2}, {"young", "begin"}, {"young", lockB3}},
			[][2]string{{"old", lockB2}, {"middle", lockB3 + "; commit"}, {"young", lockB1}}, "young", [][2]string{{"old", "commit"}}},
		{"one of them is on one server alone, and the youngest",
			[][2]string{{"old", "begin"}, {"old", lockB1}, {"middle", "begin"}, {"middle", lockB2}, {"young", "begin"},
				{"young", "select pg_advisory_xact_lock(7) from f where k = <b2>"}},
			[][2]string{{"young", lockB2}, {"middle", lockB1 + "; commit"}, {"old", "select pg_advisory_xact_lock(7) from f where k = <b2>; commit"}}, "young", nil},
		{"scatters",
			[][2]string{{"old", "begin"}, {"old", lockB1}, {"young", "begin"}, {"young", lockB2}},
			[][2]string{{"young", "update f set v = 'y'"}, {"old", "update f set v = v || 1"}}, "young", nil},
		{"table locks and a statement by itself",
			[][2]string{{"old", "begin"}, {"old", "select pg_sleep(0) from f where k = <b1> for update"}, {"old", lockB2}},
			[][2]string{{"young", "update f set v = 'z' where k in (<b3>, <b1>)"}, {"old", lockB3}}, "young", nil},
		{"in a savepoint",
			[][2]string{{"old", "begin"}, {"old", lockB1}, {"young", "begin"}, {"young", lockB3}, {"young", "savepoint s"}, {"young", lockB2}},
			[][2]string{{"young", lockB1}, {"old", lockB2}}, "young", [][2]string{{"young", "rollback to s"}, {"young", "commit"}, {"old", "rollback"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := all.anew(t)
			for _, st := range c.setup {
				a.must(st[0], st[1])
			}
			ends := a.clash(c.clash...)
			a.broken(ends, c.victim)
			if len(c.after) == 0 && a.conns[c.victim].PgConn().TxStatus() != 'I' {
				if e := s.failure(t, a.conns[c.victim].PgConn(), "select 1"); e.Code != "25P02" {
					t.Errorf("the next statement: %s %s", e.Code, e.Message)
				}
			}
			for _, st := range c.after {
				a.must(st[0], st[1])
			}
			for who := range a.conns {
				a.must(who, "rollback")
			}
		})
	}
}

// TestDeadlockInCommit: the transaction that one waits for is prepared, and its coordinator waits in another PREPARE
// TRANSACTION, for a deferred constraint.
func TestDeadlockInCommit(t *testing.T) {
	s := serve(t, "")
	all := newActors(t, s)
	all.must("setup", "create table u (k int primary key deferrable initially deferred) partition by hash (k)")
	for _, victim := range []string{"committing", "waiting"} {
		t.Run(victim, func(t *testing.T) {
			a := all.anew(t)
			a.must("setup", "truncate u")
			steps := [][2]string{{"committing", "begin"}, {"committing", lockB2}, {"waiting", "begin"}, {"waiting", "insert into u values (<b3>)"}}
			if victim == "committing" {
				steps = append(steps[2:], steps[:2]...)
			}
			for _, st := range append(steps, [2]string{"committing", "insert into u values (<b3>)"}) {
				a.must(st[0], st[1])
			}
			// Which of the two prepares first is open: it has when the other one waits for it.
			ends := a.clash([2]string{"committing", "commit"}, [2]string{"waiting", lockB2})
			if victim == "waiting" {
				a.broken(ends, victim)
			} else {
				for _, r := range ends {
					var pg *pgconn.PgError
					if r.who == victim && (!errors.As(r.err, &pg) || pg.Code != "40P01") || r.who != victim && r.err != nil {
						t.Errorf("%s: %v", r.who, r.err)
					}
				}
				a.must("waiting", "commit")
			}
			a.must("waiting", "rollback")
			noPrepared(t, s, a.db)
			if rows := s.text(t, a.conns["setup"], "select count(*) from u"); rows[0] != "1" {
				t.Errorf("%s rows", rows[0])
			}
		})
	}
}

// TestDeadlockThroughPool: all connections to one server are in the hands of transactions that wait for one that waits for
// such a connection.
func TestDeadlockThroughPool(t *testing.T) {
	s := serve(t, "pool:\n  size: 2\n  queue_timeout: 60s\n")
	a := newActors(t, s)
	a.must("old", "begin")
	a.must("old", lockB1)
	for _, who := range []string{"middle", "young"} {
		a.must(who, "begin")
		a.must(who, "select v from f where k = <b2>")
	}
	// b1 has one connection left: the second of them waits for the first to let it go.
	a.inProxy = 2
	ends := a.clash([2]string{"middle", lockB1 + "; commit"}, [2]string{"old", "select v from f where k = <b2>; commit"}, [2]string{"young", lockB1})
	a.broken(ends, "young")
	for who := range a.conns {
		a.must(who, "rollback")
	}
}

// TestDeadlockNone: those who wait for long, but not for each other, are left alone.
func TestDeadlockNone(t *testing.T) {
	s := serve(t, "")
	a := newActors(t, s)
	var work sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	for n := range 6 {
		c := s.conn(t, a.db)
		work.Go(func() {
			for range 6 {
				sql := fmt.Sprintf("begin; update f set v = '%d' where k = %d; update f set v = '%d' where k = %d; select pg_sleep(0.05); update f set v = '%d' where k = %d; commit",
					n, a.keyOn["b1"], n, a.keyOn["b2"], n, a.keyOn["b3"])
				if _, err := c.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	work.Wait()
	if len(failures) > 0 {
		t.Errorf("transactions in one order failed: %v", failures)
	}
}
