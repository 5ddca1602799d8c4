package integration

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// nowhereLeft looks on every server, standbys and those that came back as such included, for what moves make.
func (r *replicated) nowhereLeft(t *testing.T, db string) {
	t.Helper()
	r.rejoinAll(t)
	r.caughtUp(t)
	r.noLeftovers(t, db)
	eventually(t, 20*time.Second, "no server to keep a slot of a move", func() bool {
		for _, s := range r.cluster.Servers() {
			if r.on(t, s, "select count(*) from pg_replication_slots where slot_name ~ '^pleiad_(move|join)_'") != "0" {
				return false
			}
		}
		return true
	})
}

// rejoinAll brings back what else has been replaced meanwhile: on a busy machine a server may be thought lost that is not.
func (r *replicated) rejoinAll(t *testing.T) {
	t.Helper()
	c := r.conn(t, "postgres")
	eventually(t, time.Minute, "no server to be outdated", func() bool {
		rows := r.text(t, c, "select name, (select p.name from pleiad.backends p where p.backend = b.backend and p.role = 'primary') from pleiad.backends b where state = 'outdated'")
		for _, row := range rows {
			old, now, _ := strings.Cut(row, "|")
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			err := r.cluster.Server(old).Rejoin(ctx, r.cluster.Server(now))
			stop()
			if err != nil {
				t.Fatal(err)
			}
		}
		return len(rows) == 0
	})
}

// lostPrimary is one loss in the middle of one move.
type lostPrimary struct {
	from, to string // b1 is home
	victim   string
	at       string // step; "" is any moment
	fault    fault
}

func (x lostPrimary) String() string {
	return fmt.Sprintf("%s to %s, %s of %s while %s", x.from, x.to, x.fault.name, x.victim, cmp.Or(x.at, "moving"))
}

// TestMoveSurvivesFailover loses the source or the target of a move for good, with writers at work: a standby takes over, the
// slot is gone with the old primary, and what the target had is behind. The move ends all the same, and no server that comes
// back brings anything along.
func TestMoveSurvivesFailover(t *testing.T) {
	r, links := serveFailover(t, "")
	kill := faults(links)[0]
	rounds := []lostPrimary{{"b1", "b2", "b1", "prepared", kill}, {"b1", "b2", "b2", "following", kill}}
	if long() {
		rounds = nil
		for _, f := range faults(links) {
			for _, at := range []string{"prepared", "following", "", ""} {
				for _, victim := range []string{"b1", "b2"} {
					rounds = append(rounds, lostPrimary{"b1", "b2", victim, at, f}, lostPrimary{"b2", "b1", victim, at, f})
				}
			}
		}
	}
	db := r.ballast(t)
	l := startLoad(t, r, db, 4, "options=-c pleiad.replication=sync")
	l.resumed(t, 30*time.Second)
	for _, x := range rounds {
		r.moveAndLose(t, l, db, x)
		if t.Failed() {
			t.Fatal(x)
		}
	}
	if lost := l.end(t, r, db, "moves"); len(lost) > 0 {
		t.Errorf("%d acknowledged writes are lost", len(lost))
	}
	r.verified(t, db)
}

// ballast makes a database whose shard 1 takes a while to copy.
func (r *replicated) ballast(t *testing.T) (db string) {
	t.Helper()
	db = r.newDatabase(t)
	c := r.conn(t, db)
	r.exec(t, c, "set pleiad.shard_count = 3")
	r.exec(t, c, "create table w (k int primary key) partition by hash (k)")
	r.exec(t, c, "create table ballast (k int primary key, v text) partition by hash (k)")
	r.exec(t, c, "insert into ballast select i, repeat(md5(i::text), 20) from generate_series(1, 6000) i")
	return db
}

func (r *replicated) moveAndLose(t *testing.T, l *load, db string, x lostPrimary) {
	t.Helper()
	c := r.conn(t, db)
	const where = "select backend from pleiad.shards where table_name = 'w' and shard = 1"
	if r.one(t, c, where) != x.from {
		r.job(t, c, time.Minute, "move_shard(1, '"+x.from+"')")
	}
	came := func(step string) func() bool {
		return func() bool {
			return r.one(t, c, "select exists (select from pleiad.moves where step = '"+step+"' and job = (select max(id) from pleiad.jobs))") == "t"
		}
	}
	var tx pgx.Tx
	var id string
	switch x.at {
	case "prepared":
		id = r.one(t, c, "select pleiad.move_shard(1, '"+x.to+"', null, '1MB')")
		eventually(t, 30*time.Second, "the copy to begin", came("prepared"))
	case "following":
		id = r.one(t, c, "select pleiad.move_shard(1, '"+x.to+"', null, '10MB')")
		eventually(t, 30*time.Second, "the copy to begin", came("prepared"))
		// Whoever has a lasting snapshot keeps the shard from changing its backend.
		var err error
		if tx, err = r.conn(t, db, "options=-c pleiad.consistency=strong").BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead}); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "select count(*) from w"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the target to follow", came("following"))
	default:
		id = r.one(t, c, "select pleiad.move_shard(1, '"+x.to+"')")
		pause(t, time.Duration(rand.IntN(1500))*time.Millisecond)
	}
	r.loseAndMend(t, l, x.fault, x.victim)
	if tx != nil {
		_ = tx.Rollback(t.Context()) // its backend may be gone
	}
	c = r.conn(t, db)
	r.await(t, c, 2*time.Minute, id, "done")
	if at := r.one(t, c, where); at != x.to {
		t.Errorf("%s: shard 1 is on %s", x, at)
	}
	t.Logf("%s: %s", x, r.one(t, c, "select step, attempts from pleiad.moves where job = "+id))
	r.nowhereLeft(t, db)
	if n := r.one(t, c, "select count(*), sum(length(v)) from ballast"); n != "6000|3840000" {
		t.Errorf("%s: ballast has %s", x, n)
	}
}

// TestMoveSurvivesSwitchover changes the source's primary in good order: the old one keeps the move's slot, and brings it
// along when it comes back as a standby, where nobody needs it.
func TestMoveSurvivesSwitchover(t *testing.T) {
	r, _ := serveFailover(t, "")
	db := r.ballast(t)
	c := r.conn(t, db)
	from := r.one(t, c, "select backend from pleiad.shards where table_name = 'w' and shard = 1")
	to := map[string]string{"b1": "b2", "b2": "b1"}[from]
	id := r.one(t, c, "select pleiad.move_shard(1, '"+to+"', null, '1MB')")
	old := r.primary(t, from)
	eventually(t, 30*time.Second, "the slot", func() bool {
		return r.on(t, old, "select count(*) from pg_replication_slots where slot_name ~ '^pleiad_move_' and confirmed_flush_lsn is not null") != "0"
	})
	r.exec(t, c, "set pleiad.failover to '"+from+"'")
	now := r.primary(t, from)
	if now == old {
		t.Fatal("the primary has not changed")
	}
	if n := r.on(t, old, "select count(*) from pg_replication_slots where slot_name ~ '^pleiad_move_'"); n == "0" {
		t.Error("the old primary has no slot to bring along")
	}
	if err := old.Rejoin(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	r.await(t, r.conn(t, db), time.Minute, id, "done")
	r.nowhereLeft(t, db)
	r.verified(t, db)
}

// verified has the proxy find nothing amiss.
func (s *served) verified(t *testing.T, db string) {
	t.Helper()
	c := s.conn(t, db)
	id := s.job(t, c, time.Minute, "verify()")
	for _, f := range s.text(t, c, "select object, backend, problem from pleiad.findings where job = "+id) {
		t.Error(f)
	}
}
