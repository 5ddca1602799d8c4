package backend

import (
	"context"
	"sync"
	"time"
)

// Pools makes a Pool for every Key that is asked for.
type Pools struct {
	Dial   func(ctx context.Context, key Key) (*Conn, error)
	Cancel func(ctx context.Context, c *Conn) error
	Limits func(key Key) Limits
	Name   func(backend int) string
	// Generation is a backend's: connections opened in an earlier one are not lent any more. nil: there is one.
	Generation func(backend int) uint64
	// MinIdle is how many idle connections a pool keeps whatever their age since last use.
	MinIdle int

	mu    sync.RWMutex
	pools map[Key]*Pool
}

// Pool returns the pool of key.
func (ps *Pools) Pool(key Key) *Pool {
	ps.mu.RLock()
	p := ps.pools[key]
	ps.mu.RUnlock()
	if p != nil {
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.pools[key]; p != nil {
		return p
	}
	if ps.pools == nil {
		ps.pools = make(map[Key]*Pool)
	}
	p = &Pool{
		key: key, name: ps.Name(key.Backend), dial: ps.Dial, cancel: ps.Cancel,
		limits:     func() Limits { return ps.Limits(key) },
		generation: func() uint64 { return 0 },
	}
	if ps.Generation != nil {
		p.generation = func() uint64 { return ps.Generation(key.Backend) }
	}
	ps.pools[key] = p
	return p
}

func (ps *Pools) all() []*Pool {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	out := make([]*Pool, 0, len(ps.pools))
	for _, p := range ps.pools {
		out = append(out, p)
	}
	return out
}

// Run reaps old connections until ctx ends, then closes every free one.
func (ps *Pools) Run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, p := range ps.all() {
				p.close()
			}
			return nil
		case now := <-t.C:
			for _, p := range ps.all() {
				p.reap(now, ps.MinIdle)
			}
		}
	}
}

// FlushBackend closes the free connections to one backend.
func (ps *Pools) FlushBackend(backend int) {
	for _, p := range ps.all() {
		if p.key.Backend == backend {
			p.Flush()
		}
	}
}

// Sever breaks every connection to one backend, lent ones too.
func (ps *Pools) Sever(backend int) {
	for _, p := range ps.all() {
		if p.key.Backend == backend {
			p.sever()
		}
	}
}

// FlushDatabase closes the free connections to one database on every backend, as DROP DATABASE needs.
func (ps *Pools) FlushDatabase(database string) {
	for _, p := range ps.all() {
		if p.key.Database == database {
			p.Flush()
		}
	}
}

// Stats lists every pool's state.
func (ps *Pools) Stats() []Stats {
	var out []Stats
	for _, p := range ps.all() {
		out = append(out, p.stats())
	}
	return out
}
