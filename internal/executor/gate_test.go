package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func tryHold(t *testing.T, g *Gate, wait time.Duration, over ...int) (*Hold, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), wait)
	defer stop()
	return g.Hold(ctx, over, time.Minute)
}

func mustHold(t *testing.T, g *Gate, over ...int) *Hold {
	t.Helper()
	h, err := tryHold(t, g, 10*time.Second, over...)
	if err != nil {
		t.Fatalf("hold over %v: %v", over, err)
	}
	return h
}

// barred checks that a snapshot over these backends cannot be taken, and says why.
func barred(t *testing.T, g *Gate, over ...int) *InTheWay {
	t.Helper()
	h, err := tryHold(t, g, 20*time.Millisecond, over...)
	var way *InTheWay
	if !errors.As(err, &way) {
		t.Fatalf("hold over %v: %v, %v, want a transaction in the way", over, h, err)
	}
	return way
}

func TestGateLetsSnapshotsPassThatSeeATransactionWhole(t *testing.T) {
	g := NewGate(0)
	p := g.Commit("t", []int{0, 1, 2})
	mustHold(t, g, 0).Release()
	mustHold(t, g, 2, 3).Release()
	if way := barred(t, g, 0, 1); way.GID != "t" || !slices.Equal(way.Pending, []int{0, 1, 2}) {
		t.Errorf("in the way is %+v", way)
	}
	p.Done(0)
	p.Done(1)
	mustHold(t, g, 0, 1).Release() // whole on both
	barred(t, g, 1, 2)
	p.Done(2)
	mustHold(t, g, 1, 2).Release()
	if len(g.commits)+len(g.holds)+len(g.queue) != 0 {
		t.Errorf("left: %d commits, %d holds, %d waiting", len(g.commits), len(g.holds), len(g.queue))
	}
}

func TestGateKeepsCommitsFromASnapshot(t *testing.T) {
	g := NewGate(0)
	h := mustHold(t, g, 0, 1)
	mustHold(t, g, 0, 1).Release() // snapshots share it
	g.Commit("elsewhere", []int{1, 2}).End()
	passed := make(chan struct{})
	go func() {
		g.Commit("t", []int{0, 1}).End()
		close(passed)
	}()
	awaitQueue(t, g, 1)
	// One that comes later waits behind the commit.
	later := make(chan struct{})
	go func() {
		mustHold(t, g, 0, 1).Release()
		close(later)
	}()
	awaitQueue(t, g, 2)
	select {
	case <-passed:
		t.Fatal("a commit got into a snapshot")
	case <-later:
		t.Fatal("a snapshot got ahead of a commit that waits")
	default:
	}
	if !h.Release() {
		t.Error("the hold was not in force")
	}
	within(t, func() { <-passed; <-later })
}

func awaitQueue(t *testing.T, g *Gate, n int) {
	t.Helper()
	within(t, func() {
		for {
			g.mu.Lock()
			have := len(g.queue)
			g.mu.Unlock()
			if have == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestGateHoldExpires(t *testing.T) {
	g := NewGate(0)
	h, err := g.Hold(t.Context(), []int{0, 1}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() { g.Commit("t", []int{0, 1}).End() })
	if h.Release() {
		t.Error("a hold that has run out calls itself in force")
	}
}

// TestGateHangingCommit: snapshots that wait for a commit which hangs keep no other commit waiting.
func TestGateHangingCommit(t *testing.T) {
	g := NewGate(0)
	var ahead atomic.Int64
	g.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	hanging := g.Commit("hanging", []int{0, 1})
	got := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		_, err := g.Hold(ctx, []int{0, 1}, time.Minute)
		got <- err
	}()
	awaitQueue(t, g, 1)
	passed := make(chan struct{})
	go func() {
		g.Commit("t", []int{0, 1}).End()
		close(passed)
	}()
	awaitQueue(t, g, 2) // behind the snapshot as long as nothing hangs
	ahead.Store(int64(2 * hangsAfter))
	within(t, func() { <-passed })
	stop()
	var way *InTheWay
	if err := <-got; !errors.As(err, &way) || way.GID != "hanging" {
		t.Errorf("the snapshot ended with %v", err)
	}
	hanging.End()
	mustHold(t, g, 0, 1).Release()
}

// TestGateLeftToRecovery: what a coordinator has left keeps snapshots away until recovery has ended it.
func TestGateLeftToRecovery(t *testing.T) {
	g := NewGate(0)
	early := time.Now()
	p := g.Commit("t", []int{0, 1, 2})
	p.Done(0)
	p.Leave()
	g.Listed(1, early, nil, nil) // a list from before the commit says nothing of it
	barred(t, g, 0, 1)
	g.Settled("t", 1)
	mustHold(t, g, 0, 1).Release()
	barred(t, g, 0, 2)
	since := time.Now()
	g.Listed(2, since, []string{"t"}, nil)
	if got := g.Pending(); !slices.Equal(got["t"], []int{2}) {
		t.Errorf("pending %v", got)
	}
	g.Listed(2, since, nil, nil)
	mustHold(t, g, 0, 2).Release()
}

// TestGateAtTheStart: what an earlier process may have left half committed bars snapshots until it is known and ended.
func TestGateAtTheStart(t *testing.T) {
	g := NewGate(3)
	mustHold(t, g, 1).Release()
	if way := barred(t, g, 0, 1); !slices.Equal(way.Unseen, []int{0, 1}) {
		t.Errorf("in the way is %+v", way)
	}
	g.Listed(0, time.Now(), nil, nil)
	g.Listed(1, time.Now(), []string{"old"}, []string{"old"})
	barred(t, g, 0, 2)
	g.Listed(2, time.Now(), []string{"old"}, []string{"old"})
	mustHold(t, g, 0).Release()
	barred(t, g, 0, 1)
	g.Settled("old", 1)
	mustHold(t, g, 0, 1).Release()
	barred(t, g, 0, 2)
	g.Settled("old", 2)
	mustHold(t, g, 0, 1, 2).Release()
	g.Listed(0, time.Now(), []string{"another's"}, []string{"another's"}) // a living proxy's, not ours to wait for
	mustHold(t, g, 0, 1).Release()
}

// TestGateProperty: transfers between backends, each a number on two of them, and readers that add all up behind a hold.
func TestGateProperty(t *testing.T) {
	const backends, rounds = 4, 300
	g := NewGate(0)
	var values [backends]atomic.Int64
	var work sync.WaitGroup
	var torn, reads atomic.Int64
	for n := range 6 {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		work.Go(func() {
			for range rounds {
				a := random.IntN(backends)
				b := (a + 1 + random.IntN(backends-1)) % backends
				p := g.Commit("t", []int{a, b})
				values[a].Add(-1)
				p.Done(a)
				values[b].Add(1)
				p.Done(b)
			}
		})
		work.Go(func() {
			for range rounds {
				h, err := g.Hold(t.Context(), []int{0, 1, 2, 3}, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				var sum int64
				for i := range values {
					sum += values[i].Load()
				}
				h.Release()
				reads.Add(1)
				if sum != 0 {
					torn.Add(1)
				}
			}
		})
	}
	within(t, work.Wait)
	if torn.Load() != 0 || reads.Load() != 6*rounds {
		t.Errorf("%d of %d reads were torn", torn.Load(), reads.Load())
	}
}
