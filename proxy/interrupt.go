package proxy

import (
	"context"
	"sync"
)

// interrupt is a context that can be cancelled for one statement and then used again, so that a statement costs
// no allocation for it.
type interrupt struct {
	context.Context // the session's own
	mu              sync.Mutex
	done            chan struct{}
	fired           bool
	forget          func() bool // takes done's callback out of the session's context; nil without done
}

func newInterrupt(parent context.Context) *interrupt { return &interrupt{Context: parent} }

// Done is closed when the statement is cancelled or the session ends.
func (i *interrupt) Done() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done == nil {
		i.done = make(chan struct{})
		if i.fired {
			close(i.done)
		} else {
			done := i.done
			i.forget = context.AfterFunc(i.Context, func() { i.fire(done) })
		}
	}
	return i.done
}

func (i *interrupt) fire(done chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done == done && !i.fired {
		i.fired = true
		close(done)
	}
}

// Err says that the statement was cancelled or the session ended.
func (i *interrupt) Err() error {
	if err := i.Context.Err(); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fired {
		return context.Canceled
	}
	return nil
}

// cancel ends the waits of the running statement.
func (i *interrupt) cancel() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fired {
		return
	}
	i.fired = true
	if i.done != nil {
		close(i.done)
	}
}

// reset makes the context usable for the next statement.
func (i *interrupt) reset() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fired {
		i.fired = false
		i.letGo()
	}
}

// end is the session's: its context lives on and must not keep what was made for it.
func (i *interrupt) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.letGo()
}

func (i *interrupt) letGo() {
	if i.forget != nil {
		i.forget()
	}
	i.done, i.forget = nil, nil
}
