package proxy

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// soon is how long a test waits for what happens at once.
const soon = 5 * time.Second

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func waitClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(soon):
		t.Fatal("not done")
	}
}

func TestInterruptEndsOneStatement(t *testing.T) {
	i := newInterrupt(t.Context())
	first := i.Done()
	if closed(first) || i.Err() != nil {
		t.Fatal("fired before it was cancelled")
	}
	i.cancel()
	i.cancel()
	if !closed(first) || !errors.Is(i.Err(), context.Canceled) {
		t.Fatalf("not fired: %v", i.Err())
	}
	i.reset()
	if closed(i.Done()) || i.Err() != nil {
		t.Fatal("the next statement is cancelled too")
	}
	if !closed(first) {
		t.Fatal("the statement that was cancelled is not any more")
	}
	i.cancel()
	if !closed(i.Done()) {
		t.Fatal("cannot be cancelled again")
	}
}

func TestInterruptBeforeAnyoneWaits(t *testing.T) {
	i := newInterrupt(t.Context())
	i.cancel()
	if !closed(i.Done()) {
		t.Fatal("a wait that begins after the cancel is not ended")
	}
	i.reset()
	if closed(i.Done()) {
		t.Fatal("fired after reset")
	}
}

func TestInterruptKeepsItsChannelBetweenStatements(t *testing.T) {
	i := newInterrupt(t.Context())
	c := i.Done()
	i.reset()
	if i.Done() != c {
		t.Fatal("a statement that nobody cancelled cost a channel")
	}
}

func TestInterruptEndsWithItsParent(t *testing.T) {
	cause := errors.New("the server stops")
	parent, stop := context.WithCancelCause(t.Context())
	i := newInterrupt(parent)
	c := i.Done()
	stop(cause)
	waitClosed(t, c)
	if !errors.Is(i.Err(), context.Canceled) || !errors.Is(context.Cause(parent), cause) {
		t.Fatalf("Err = %v", i.Err())
	}
	i.reset()
	if i.Err() == nil {
		t.Fatal("reset hides that the server stops")
	}
	waitClosed(t, i.Done())
}

func TestInterruptEndsContextsMadeFromIt(t *testing.T) {
	i := newInterrupt(t.Context())
	child, stop := context.WithTimeout(i, time.Hour)
	defer stop()
	i.cancel()
	waitClosed(t, child.Done())
}

func TestInterruptFromManyGoroutines(t *testing.T) {
	i := newInterrupt(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				i.cancel()
				_ = i.Err()
				<-i.Done()
			}
		})
		wg.Go(func() {
			for range 1000 {
				i.cancel()
			}
		})
	}
	wg.Wait()
	i.reset()
	if closed(i.Done()) {
		t.Fatal("fired after reset")
	}
}

// A session's end must leave nothing of it in the server's context, which lives on.
func TestInterruptLetsGoOfItsParent(t *testing.T) {
	parent := &countingContext{Context: t.Context()}
	i := newInterrupt(parent)
	_ = i.Done()
	i.cancel()
	i.reset()
	_ = i.Done()
	i.end()
	i.end()
	if n := parent.registered(); n != 0 {
		t.Fatalf("%d callbacks are left in the parent", n)
	}
}

// countingContext counts the callbacks registered with it, as context.AfterFunc does with contexts that offer it.
type countingContext struct {
	context.Context
	mu sync.Mutex
	n  int
}

func (c *countingContext) Done() <-chan struct{} { return make(chan struct{}) }

// AfterFunc is the method that context.AfterFunc looks for.
func (c *countingContext) AfterFunc(func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	var once sync.Once
	return func() bool {
		once.Do(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.n--
		})
		return true
	}
}

func (c *countingContext) registered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
