package integration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
)

// registerOp is an operation on one key: a write of value, or a read that gave value.
type registerOp struct {
	key, value int
	write      bool
}

// registers is the model: each key holds the value that was written last, 0 before.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		keys := map[int][]porcupine.Operation{}
		for _, op := range history {
			k := op.Input.(registerOp).key
			keys[k] = append(keys[k], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range keys {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		op := input.(registerOp)
		if op.write {
			return true, op.value
		}
		return output.(int) == state.(int), state
	},
	Equal: func(a, b any) bool { return a == b },
}

// history is what clients did and were told.
type history struct {
	mu      sync.Mutex
	began   time.Time
	ops     []porcupine.Operation
	clients atomic.Int64
	values  atomic.Int64
	doubts  int
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

func (h *history) add(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// registerClient reads and writes until ctx ends. A write whose outcome is not known may take effect at any later time.
func (h *history) registerClient(ctx context.Context, dsn string, keys int) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	id := int(h.clients.Add(1))
	for ctx.Err() == nil {
		op := registerOp{key: 1 + rand.IntN(keys), write: rand.IntN(2) == 0}
		x := porcupine.Operation{ClientId: id, Input: op, Call: h.now()}
		call, stop := context.WithTimeout(context.Background(), 40*time.Second)
		var read int
		if op.write {
			op.value = int(h.values.Add(1))
			x.Input = op
			_, err = c.Exec(call, "update kv set v = $1 where k = $2", op.value, op.key)
		} else {
			err = c.QueryRow(call, "select v from kv where k = $1", op.key).Scan(&read)
		}
		stop()
		x.Output, x.Return = read, h.now()
		switch answer := answerOf(err); {
		case answer == acked:
			h.add(x)
		case op.write && answer == unknown:
			x.Return = math.MaxInt64
			h.add(x)
			h.mu.Lock()
			h.doubts++
			h.mu.Unlock()
			id = int(h.clients.Add(1)) // the old one's operation never ends
		case answer == failed:
			return err
		}
		time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
	}
	return nil
}

// sessionClient writes rising values into a row of its own and reads that and another client's. Own writes are always
// seen, and nothing goes back.
func sessionClient(ctx context.Context, dsn string, own, other int) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	seen := map[int]int{}
	for n := 1; ctx.Err() == nil; n++ {
		call, stop := context.WithTimeout(context.Background(), 40*time.Second)
		_, err := c.Exec(call, "update kv set v = $1 where k = $2", n, own)
		switch answerOf(err) {
		case acked:
			seen[own] = n
		case failed:
			stop()
			return err
		}
		for _, k := range []int{own, other, own} {
			var v int
			if err := c.QueryRow(call, "select v from kv where k = $1", k).Scan(&v); err != nil {
				if answerOf(err) == failed {
					stop()
					return err
				}
				continue
			}
			if v < seen[k] {
				stop()
				return fmt.Errorf("row %d: read %d after %d", k, v, seen[k])
			}
			seen[k] = v
		}
		stop()
	}
	return nil
}

// TestLinearizable loses a primary while clients read at strong and write with sync: there is one order of all that
// they did which one copy of the data could have had. Beside them sessions at the level session check themselves.
func TestLinearizable(t *testing.T) {
	r := serveReplicated(t, failoverSettings+"reads:\n  wait: 20ms\n")
	const keys, sessions = 6, 4
	db := r.kv(t, keys+sessions)
	r.caughtUp(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	h := &history{began: time.Now()}
	errs := make(chan error, 16)
	var wg sync.WaitGroup
	dsn := func(level string) string {
		return r.dsn(db, "options=-c pleiad.replication=sync -c pleiad.consistency="+level)
	}
	for range 6 {
		wg.Go(func() { errs <- h.registerClient(ctx, dsn("strong"), keys) })
	}
	for i := range sessions {
		wg.Go(func() { errs <- sessionClient(ctx, dsn("session"), keys+1+i, keys+1+(i+1)%sessions) })
	}
	time.Sleep(time.Second)
	backend := r.owner(t, db, 1)
	old := r.primary(t, backend)
	if err := old.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "another server takes over", func() bool {
		return strings.Contains(r.program.stderr.String(), "msg=failover backend="+backend)
	})
	if err := old.Resume(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	stop()
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	result := porcupine.CheckOperationsTimeout(registers, h.ops, patience(60*time.Second))
	t.Logf("%d operations, %d writes in doubt: %s", len(h.ops), h.doubts, result)
	if result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", result)
	}
	// A proxy beside this one comes to the same primary.
	other := serveBeside(t, r.served)
	if now := other.one(t, other.conn(t, "postgres"), "select name from pleiad.backends where backend = '"+backend+"' and role = 'primary'"); now != r.primary(t, backend).Name {
		t.Errorf("a second proxy has %s for the primary", now)
	}
	if err := errors.Join(other.program.stop(), other.program.complaints()); err != nil {
		t.Error(err)
	}
	rejoin, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	if err := old.Rejoin(rejoin, r.primary(t, backend)); err != nil {
		t.Fatal(err)
	}
	r.caughtUp(t)
}
