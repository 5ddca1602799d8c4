package executor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Barrier keeps statements away from a shard for the moment in which it changes its backend. Between a session's first
// statement of a transaction and the transaction's end its Pass says which places it has used: a switch closes a
// place, waits until nobody who used it is left, and opens it again. While no shard moves nobody registers anything, and a
// statement costs one atomic load.
//
// Only transactions that began while the barrier was armed are known in full. The others count as having used
// everything, so the barrier is armed when a move begins, long before it closes a place.
type Barrier struct {
	armed atomic.Int32 // moves under way

	mu     sync.Mutex
	period uint64 // number of the time for which armed has been above 0; from firstPeriod on
	passes map[*Pass]struct{}
	closed map[Place]chan struct{}
	left   chan struct{} // closed when a pass ends while somebody drains
}

// Place is one colocation group's shards on one backend: what a statement uses, and what a switch closes.
type Place struct{ Group, Backend int }

// Everywhere is the place of statements that may use all groups on all backends, and of snapshots that outlive a
// statement.
var Everywhere = Place{Group: -1, Backend: -1}

func (p Place) meets(o Place) bool { return p == o || p == Everywhere || o == Everywhere }

// Idle tells whether no shard moves.
func (g *Barrier) Idle() bool { return g.armed.Load() == 0 }

const (
	unarmed     = 1 // Pass.since of a transaction that began while the barrier was not armed
	firstPeriod = 2
)

// NewBarrier makes a barrier that is open.
func NewBarrier() *Barrier {
	return &Barrier{period: firstPeriod - 1, passes: map[*Pass]struct{}{}, closed: map[Place]chan struct{}{}}
}

// Pass is one session's way through a barrier. Its session's goroutine alone calls its methods.
type Pass struct {
	barrier *Barrier
	// since is 0 between transactions, else unarmed or the period in which the transaction began.
	since  atomic.Uint64
	places []Place // written under barrier.mu, by the session
}

// NewPass makes a session's pass; Drop ends it.
func (g *Barrier) NewPass() *Pass {
	p := &Pass{barrier: g}
	g.mu.Lock()
	g.passes[p] = struct{}{}
	g.mu.Unlock()
	return p
}

// Drop is the session's end.
func (p *Pass) Drop() {
	p.End()
	p.barrier.mu.Lock()
	delete(p.barrier.passes, p)
	p.barrier.mu.Unlock()
}

// Begin is called before the first statement of a transaction is planned, and may be called again within it.
func (p *Pass) Begin() {
	if p.since.Load() != 0 {
		return
	}
	p.since.Store(unarmed)
	g := p.barrier
	if g.armed.Load() == 0 {
		return
	}
	// Nothing has been planned yet, so all that the transaction will use is going to be known.
	g.mu.Lock()
	if g.armed.Load() > 0 {
		p.since.Store(g.period)
	}
	g.mu.Unlock()
}

// End is called when the session holds no transaction any more.
func (p *Pass) End() {
	if p.since.Load() == 0 {
		return
	}
	p.since.Store(0)
	g := p.barrier
	if len(p.places) == 0 && g.armed.Load() == 0 {
		return
	}
	g.mu.Lock()
	p.places = p.places[:0]
	if g.left != nil {
		close(g.left)
		g.left = nil
	}
	g.mu.Unlock()
}

// Enter registers that the transaction is about to use places. Where one of them is closed it waits instead, and then
// says so without having registered: the shard may be elsewhere now. The caller looks at the shard map again in both
// cases, for what it was routed by may be older than the last switch.
func (p *Pass) Enter(ctx context.Context, places ...Place) (waited bool, err error) {
	p.Begin()
	g := p.barrier
	if g.armed.Load() == 0 {
		return false, nil
	}
	g.mu.Lock()
	if p.since.Load() != g.period {
		g.mu.Unlock() // it counts as having used everything already
		return false, nil
	}
	shut := g.shut(p, places)
	if shut == nil {
		for _, place := range places {
			if !slices.Contains(p.places, place) {
				p.places = append(p.places, place)
			}
		}
		g.mu.Unlock()
		return false, nil
	}
	g.mu.Unlock()
	select {
	case <-shut:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// shut is the closed place among places, as a channel that its opening closes. A transaction that the switch has to
// wait for is let through: it could not end otherwise.
func (g *Barrier) shut(p *Pass, places []Place) chan struct{} {
	for at, opened := range g.closed {
		if p.used(at) {
			continue
		}
		for _, place := range places {
			if place.meets(at) {
				return opened
			}
		}
	}
	return nil
}

// used tells whether the transaction has used a place.
func (p *Pass) used(at Place) bool {
	return slices.ContainsFunc(p.places, at.meets)
}

// Arm makes transactions that begin from now on register what they use, until disarm is called.
func (g *Barrier) Arm() (disarm func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.armed.Load() == 0 {
		g.period++
	}
	g.armed.Add(1)
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.armed.Add(-1)
	})
}

// Close holds what wants to use the places, until open is called. The barrier must be armed; each place is closed by one
// switch at a time.
func (g *Barrier) Close(places ...Place) (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range places {
		if g.closed[p] != nil || g.armed.Load() == 0 {
			panic("bug: barrier closed twice or not armed")
		}
		g.closed[p] = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, p := range places {
			close(g.closed[p])
			delete(g.closed, p)
		}
	})
}

// Drain waits until no transaction is left that has used one of the places, or may have. The places are closed.
func (g *Barrier) Drain(ctx context.Context, places ...Place) error {
	for {
		left := g.inside(places)
		if left == nil {
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inside returns nil when nobody is inside, else a channel that is closed when somebody has left.
func (g *Barrier) inside(places []Place) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.passes {
		since := p.since.Load()
		if since == 0 {
			continue
		}
		if since == g.period && !slices.ContainsFunc(places, p.used) {
			continue
		}
		if g.left == nil {
			g.left = make(chan struct{})
		}
		return g.left
	}
	return nil
}
