package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func entered(t *testing.T, p *Pass, places ...Place) {
	t.Helper()
	if waited, err := p.Enter(t.Context(), places...); waited || err != nil {
		t.Fatalf("enter %v: waited %t, %v", places, waited, err)
	}
}

func drained(t *testing.T, b *Barrier, places ...Place) bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	err := b.Drain(ctx, places...)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil
}

func TestBarrierWaitsForUsersOfThePlaceOnly(t *testing.T) {
	b := NewBarrier()
	at, other := Place{1, 0}, Place{1, 1}
	defer b.Arm()()
	user, stranger := b.NewPass(), b.NewPass()
	user.Begin()
	stranger.Begin()
	entered(t, user, at)
	entered(t, stranger, other)
	open := b.Close(at)
	if drained(t, b, at) {
		t.Fatal("drained with a user inside")
	}
	entered(t, user, at)    // it must be able to end
	entered(t, user, other) // whatever it needs for that
	user.End()
	if !drained(t, b, at) {
		t.Fatal("not drained")
	}
	held := make(chan bool)
	go func() {
		waited, err := stranger.Enter(context.Background(), at)
		held <- waited && err == nil
	}()
	select {
	case <-held:
		t.Fatal("a closed place was entered")
	case <-time.After(10 * time.Millisecond):
	}
	open()
	if !<-held {
		t.Fatal("who waited was not told to look again")
	}
	entered(t, stranger, at)
}

// Transactions that began before anything moved count as users of everything; so do those that a move's end and
// another's beginning have passed by.
func TestBarrierCountsTheUnknown(t *testing.T) {
	b := NewBarrier()
	at := Place{1, 0}
	old := b.NewPass()
	old.Begin()
	disarm := b.Arm()
	open := b.Close(at)
	if drained(t, b, at) {
		t.Fatal("drained with an unknown transaction")
	}
	open()
	old.End()
	old.Begin()
	disarm()
	entered(t, old, at) // not noted: nothing is armed
	defer b.Arm()()
	defer b.Close(at)()
	if drained(t, b, at) {
		t.Fatal("drained with a transaction of another time")
	}
	old.Drop()
	if !drained(t, b, at) {
		t.Fatal("not drained")
	}
}

func TestBarrierEverywhereMeetsAll(t *testing.T) {
	b := NewBarrier()
	defer b.Arm()()
	p := b.NewPass()
	p.Begin()
	entered(t, p, Everywhere)
	at := Place{3, 2}
	open := b.Close(at)
	if drained(t, b, at) {
		t.Fatal("drained with a user of everything")
	}
	p.End()
	if !drained(t, b, at) {
		t.Fatal("not drained")
	}
	p.Begin()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if waited, err := p.Enter(ctx, Everywhere); !waited || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("everything was entered with a place closed: %t, %v", waited, err)
	}
	open()
}

// TestBarrierNeverLetsTwoIn: a statement that was routed by a map is never at work while that map's shard is switched.
func TestBarrierNeverLetsTwoIn(t *testing.T) {
	b := NewBarrier()
	var owner atomic.Int64     // of the one shard
	var inside [2]atomic.Int64 // statements at work, by backend
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			p := b.NewPass()
			defer p.Drop()
			r := rand.New(rand.NewPCG(uint64(n), 5))
			for ctx.Err() == nil {
				p.Begin()
				routed := owner.Load()
				for {
					waited, err := p.Enter(context.Background(), Place{1, int(routed)})
					if err != nil {
						t.Error(err)
						return
					}
					if now := owner.Load(); waited || now != routed {
						routed = now
						continue
					}
					break
				}
				inside[routed].Add(1)
				if r.IntN(4) == 0 {
					time.Sleep(time.Duration(r.IntN(100)) * time.Microsecond)
				}
				if owner.Load() != routed {
					t.Errorf("at work on backend %d, and the shard is on %d", routed, owner.Load())
				}
				inside[routed].Add(-1)
				p.End()
			}
		})
	}
	switches := 0
	for ctx.Err() == nil {
		disarm := b.Arm()
		from := owner.Load()
		open := b.Close(Place{1, int(from)})
		limited, end := context.WithTimeout(ctx, 5*time.Millisecond)
		if b.Drain(limited, Place{1, int(from)}) == nil {
			if n := inside[from].Load(); n != 0 {
				t.Errorf("%d statements are at work on a drained place", n)
			}
			owner.Store(1 - from)
			switches++
		}
		end()
		open()
		disarm()
	}
	all.Wait()
	if switches == 0 {
		t.Error("nothing was switched")
	}
}
