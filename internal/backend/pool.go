package backend

import (
	"context"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// Key names a pool: connections in it are interchangeable once their settings agree.
type Key struct {
	Backend  int // index in the shard map, for its primary; replicas have others, of the caller's own making
	Database string
	Role     string
}

// Limits bounds one pool. Zero times mean never.
type Limits struct {
	Size         int
	QueueTimeout time.Duration
	IdleTimeout  time.Duration
	MaxLifetime  time.Duration
}

// Pool holds the server connections of one Key.
type Pool struct {
	key    Key
	name   string
	dial   func(ctx context.Context, key Key) (*Conn, error)
	cancel func(ctx context.Context, c *Conn) error
	limits func() Limits
	// generation is the backend's; a connection of an earlier one is not lent.
	generation func() uint64

	mu      sync.Mutex
	all     map[*Conn]struct{} // living connections
	free    []*Conn            // last in, first out
	open    int                // living connections, lent ones and ones being opened included
	waiting []*waiter
	closed  bool
}

type waiter struct {
	ready chan *Conn // nil: a place became free, open one
}

// Get lends a connection: a free one, a new one, or, when the pool is full, the next that comes back.
func (p *Pool) Get(ctx context.Context) (*Conn, error) {
	for {
		c, err := p.next(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if c.generation != p.generation() || p.tooOld(c, now) || p.doubtful(c, now) && c.hungUp() {
			c.Close()
			p.gone(c)
			continue
		}
		if c.load != nil {
			c.load.Add(1)
		}
		return c, nil
	}
}

// next gives the next connection there is, whatever its state.
func (p *Pool) next(ctx context.Context) (*Conn, error) {
	c, w := p.take()
	switch {
	case w != nil:
		return p.wait(ctx, w)
	case c == nil:
		return p.openOne(ctx)
	}
	return c, nil
}

// take gives a free connection, a place in the queue, or neither: then the caller may open a connection.
func (p *Pool) take() (*Conn, *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.pick(); c != nil {
		return c, nil
	}
	if p.open < p.limits().Size && len(p.waiting) == 0 {
		p.open++
		return nil, nil
	}
	w := &waiter{ready: make(chan *Conn, 1)}
	p.waiting = append(p.waiting, w)
	p.admit()
	return nil, w
}

// admit lets the first in the queue open connections while there are places: the limit was raised.
func (p *Pool) admit() {
	for len(p.waiting) > 0 && p.open < p.limits().Size {
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.open++
		w.ready <- nil
	}
}

// checkAfter is how long a connection may lie in the pool and still be lent without a look at its socket.
const checkAfter = 100 * time.Millisecond

// doubtful tells whether a connection's socket is looked at before it is lent. Where another server can take over, a
// statement that is not sent to a dead one runs there.
func (p *Pool) doubtful(c *Conn, now time.Time) bool {
	return now.Sub(c.used) > checkAfter || c.generation > 0
}

func (p *Pool) tooOld(c *Conn, now time.Time) bool {
	l := p.limits()
	return l.MaxLifetime > 0 && now.Sub(c.created) > l.MaxLifetime
}

type waitNote struct{}

// NoteWait makes Get tell when it begins to wait in a pool's queue and when that is over; opening a connection is no such
// wait.
func NoteWait(ctx context.Context, note func(waiting bool)) context.Context {
	return context.WithValue(ctx, waitNote{}, note)
}

func (p *Pool) wait(ctx context.Context, w *waiter) (*Conn, error) {
	note, noted := ctx.Value(waitNote{}).(func(bool))
	if noted {
		note(true)
	}
	c, err := p.queue(ctx, w)
	if noted {
		note(false)
	}
	if err != nil || c != nil {
		return c, err
	}
	return p.openOne(ctx)
}

// queue waits for a connection, or, with neither result, for a place to open one.
func (p *Pool) queue(ctx context.Context, w *waiter) (*Conn, error) {
	var expired <-chan time.Time
	limit := p.limits().QueueTimeout
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		expired = t.C
	}
	var failure error
	select {
	case c := <-w.ready:
		return c, nil
	case <-expired:
		failure = pgerr.New(pgerr.TooManyConnections,
			"no connection to backend %q became free within %s", p.name, limit).
			WithHint("Raise pool.size or pool.queue_timeout, or keep transactions shorter.")
	case <-ctx.Done():
		failure = pgerr.New(pgerr.QueryCanceled, "canceling statement due to user request")
	}
	if p.giveUp(w) {
		return nil, failure
	}
	// A connection was handed over at the same moment.
	return <-w.ready, nil
}

// giveUp removes w from the queue; false means that it was served already.
func (p *Pool) giveUp(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.waiting {
		if x == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return true
		}
	}
	return false
}

func (p *Pool) openOne(ctx context.Context) (*Conn, error) {
	c, err := p.dial(ctx, p.key)
	if err != nil {
		p.gone(nil)
		return nil, err
	}
	c.pool = p
	c.created = time.Now()
	c.used = c.created
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[*Conn]struct{}{}
	}
	p.all[c] = struct{}{}
	return c, nil
}

// gone gives the place of a closed connection, or of one that was not opened, to the first in the queue.
func (p *Pool) gone(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, c)
	p.open--
	p.admit()
}

// Put takes back a connection. One that is not idle is closed: the server rolls back what was open.
func (p *Pool) Put(c *Conn) {
	if c.load != nil {
		c.load.Add(-1)
	}
	if c.cancels.Load() > 0 {
		// A cancel on its way must not hit the next client's statement.
		c.cancelling.Wait()
		c.cancels.Store(0)
	}
	if !c.Idle() {
		c.Close()
		if c.Linger != nil {
			c.Linger(func() { p.gone(c) })
			return
		}
		p.gone(c)
		return
	}
	c.R.Release()
	c.used = time.Now()
	p.mu.Lock()
	if p.closed || p.open > p.limits().Size {
		p.mu.Unlock()
		c.Close()
		p.gone(c)
		return
	}
	if len(p.waiting) > 0 {
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		c.keeper = 0
		p.mu.Unlock()
		w.ready <- c
		return
	}
	p.free = append(p.free, c)
	p.mu.Unlock()
}

// Put gives the connection back to the pool it came from.
func (c *Conn) Put() { c.pool.Put(c) }

// reap closes connections that were idle or alive for too long, but keep ones.
func (p *Pool) reap(now time.Time, keep int) {
	l := p.limits()
	p.mu.Lock()
	var old []*Conn
	left := p.free[:0]
	for i, c := range p.free {
		idle := l.IdleTimeout > 0 && now.Sub(c.used) > l.IdleTimeout && len(p.free)-i > keep
		if idle || p.tooOld(c, now) {
			old = append(old, c)
			continue
		}
		left = append(left, c)
	}
	for i := len(left); i < len(p.free); i++ {
		p.free[i] = nil
	}
	p.free = left
	p.open -= len(old)
	for _, c := range old {
		delete(p.all, c)
	}
	p.admit()
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// Flush closes every free connection, as after a server restart, when all of them are dead.
func (p *Pool) Flush() {
	p.mu.Lock()
	old := p.free
	p.free = nil
	p.open -= len(old)
	for _, c := range old {
		delete(p.all, c)
	}
	p.admit()
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// sever breaks every connection, whoever has it: what waits for the server fails at once.
func (p *Pool) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.all {
		_ = netConn(c.Conn).Close() // below TLS, which would wait for the peer a moment
	}
}

func (p *Pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Flush()
}

// Stats is a pool's state at one moment.
type Stats struct {
	Key                 Key
	Open, Free, Waiting int
}

func (p *Pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Key: p.key, Open: p.open, Free: len(p.free), Waiting: len(p.waiting)}
}
