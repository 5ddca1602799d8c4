package backend

import "time"

// Keep marks a connection that is lent, so that its pool lends it to others last: owner may want it back (Regain), for
// what its session holds there. Owner 0 marks nothing.
func (c *Conn) Keep(owner uint64) {
	c.pool.mu.Lock()
	c.keeper = owner
	c.pool.mu.Unlock()
}

// Unkeep ends a Keep of owner's, wherever the connection is.
func (c *Conn) Unkeep(owner uint64) {
	c.pool.mu.Lock()
	if c.keeper == owner {
		c.keeper = 0
	}
	c.pool.mu.Unlock()
}

// Regain lends the connection to owner, who had kept it. False means that another client has had it meanwhile, or that it
// is gone.
func (c *Conn) Regain(owner uint64) bool {
	p := c.pool
	p.mu.Lock()
	at := -1
	if c.keeper == owner {
		for i := len(p.free) - 1; i >= 0 && at < 0; i-- {
			if p.free[i] == c {
				at = i
			}
		}
	}
	if at >= 0 {
		p.remove(at)
	}
	p.mu.Unlock()
	if at < 0 {
		return false
	}
	if c.generation != p.generation() || p.doubtful(c, time.Now()) && c.hungUp() {
		c.Close()
		p.gone(c)
		return false
	}
	if c.load != nil {
		c.load.Add(1)
	}
	return true
}

// pick takes the free connection that is lent next: the last that came back of those nobody keeps. Where no other may be
// opened it is the one that lies there for longest, and who kept it has lost it. The pool is locked.
func (p *Pool) pick() *Conn {
	for i := len(p.free) - 1; i >= 0; i-- {
		if p.free[i].keeper == 0 {
			return p.remove(i)
		}
	}
	if len(p.free) == 0 || p.open < p.limits().Size {
		return nil
	}
	c := p.remove(0)
	c.keeper = 0
	return c
}

func (p *Pool) remove(i int) *Conn {
	c := p.free[i]
	n := len(p.free) - 1
	copy(p.free[i:], p.free[i+1:])
	p.free[n] = nil
	p.free = p.free[:n]
	return c
}
