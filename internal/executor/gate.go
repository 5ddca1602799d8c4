package executor

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Gate keeps two things apart: distributed commits that are visible on some of their backends and not yet on others,
// and snapshots that are being taken on several. A commit passes through it from its decision to its last COMMIT
// PREPARED, a snapshot holds it while the backends take theirs.
//
// A snapshot over backends R sees a transaction whole if all of its parts on R are committed, or if R has one
// backend of it at most. So they wait for each other only where they share two backends. Who comes first is first,
// whichever of both it is: neither starves the other. A snapshot that has to wait for a commit which hangs lets
// others pass, and gives up in time.
type Gate struct {
	mu      sync.Mutex
	commits map[*Passage]struct{}
	holds   map[*Hold]struct{}
	queue   []*ticket
	// unseen are backends whose prepared transactions have not been listed since this process began: one that another
	// process has left half committed could be among them.
	unseen map[int]bool
	now    func() time.Time
}

// NewGate makes the gate of a database with so many backends, of which none has been listed.
func NewGate(backends int) *Gate {
	g := &Gate{commits: map[*Passage]struct{}{}, holds: map[*Hold]struct{}{}, unseen: map[int]bool{}, now: time.Now}
	for b := range backends {
		g.unseen[b] = true
	}
	return g
}

// hangsAfter is how long a commit may take before snapshots that wait for it let others pass.
const hangsAfter = time.Second

// Passage is one distributed commit from its decision on.
type Passage struct {
	g   *Gate
	gid string
	// parts are its backends, nil for those that nobody knows: every one.
	parts   []int
	pending []int // those that may not have committed yet
	began   time.Time
	left    bool // its coordinator has gone: recovery ends it
}

// Hold is the gate held for a snapshot.
type Hold struct {
	g     *Gate
	over  []int
	timer *time.Timer
	ended bool // guarded by g.mu
}

// ticket waits in the queue: for a commit or for a hold.
type ticket struct {
	commit *Passage
	hold   *Hold
	ready  chan struct{}
}

// InTheWay is the error of a snapshot that could not be taken in time: what it waited for.
type InTheWay struct {
	GID     string // a transaction that is half committed, "" for none
	Pending []int  // backends whose part is not committed
	Unseen  []int  // backends that have not said which transactions are prepared on them
}

func (e *InTheWay) Error() string { return "snapshot: a distributed transaction is half committed" }

// Commit waits until no snapshot is being taken that the transaction could tear, and lets none be taken until it has
// ended. The wait is bounded by the holds' limits.
func (g *Gate) Commit(gid string, parts []int) *Passage {
	p := &Passage{g: g, gid: gid, parts: parts, pending: slices.Clone(parts)}
	t := &ticket{commit: p, ready: make(chan struct{})}
	g.mu.Lock()
	g.queue = append(g.queue, t)
	g.admit()
	g.mu.Unlock()
	<-t.ready
	return p
}

// Done says that backend b has committed its part.
func (p *Passage) Done(b int) {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	p.drop(b)
	p.g.admit()
}

// End says that no part is left: all are committed, or none has been.
func (p *Passage) End() {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	delete(p.g.commits, p)
	p.g.admit()
}

// Leave says that the coordinator does no more: parts that are pending wait for recovery.
func (p *Passage) Leave() {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	p.left = true
	p.g.admit()
}

// drop takes b out of what is pending. The caller holds the lock.
func (p *Passage) drop(b int) {
	p.pending = slices.DeleteFunc(p.pending, func(x int) bool { return x == b })
	if len(p.pending) == 0 {
		delete(p.g.commits, p)
	}
}

// Hold waits until no transaction is half committed as seen from the backends, and keeps others from getting there until
// Release, or for as long as limit. ctx bounds the wait.
func (g *Gate) Hold(ctx context.Context, over []int, limit time.Duration) (*Hold, error) {
	h := &Hold{g: g, over: over}
	t := &ticket{hold: h, ready: make(chan struct{})}
	g.mu.Lock()
	g.queue = append(g.queue, t)
	g.admit()
	g.mu.Unlock()
	// Whether a commit hangs is a matter of time, which wakes nobody.
	look := time.NewTicker(hangsAfter / 4)
	defer look.Stop()
	for {
		select {
		case <-t.ready:
			g.mu.Lock() // the timer may run out at once
			h.timer = time.AfterFunc(limit, func() { h.Release() })
			g.mu.Unlock()
			return h, nil
		case <-look.C:
			g.mu.Lock()
			g.admit()
			g.mu.Unlock()
		case <-ctx.Done():
			g.mu.Lock()
			why := g.obstacle(h)
			g.queue = slices.DeleteFunc(g.queue, func(x *ticket) bool { return x == t })
			delete(g.holds, h)
			g.admit()
			g.mu.Unlock()
			return nil, why
		}
	}
}

// Release ends the hold. It tells whether the hold was still in force: what was done behind it may be torn otherwise.
func (h *Hold) Release() (inForce bool) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	inForce = !h.ended
	h.ended = true
	if h.timer != nil {
		h.timer.Stop()
	}
	delete(h.g.holds, h)
	h.g.admit()
	return inForce
}

// admit lets in who can be, in the order of arrival. The caller holds the lock.
func (g *Gate) admit() {
	kept := g.queue[:0]
	for _, t := range g.queue {
		if g.mayEnter(t, kept) {
			if t.commit != nil {
				t.commit.began = g.now()
				g.commits[t.commit] = struct{}{}
			} else {
				g.holds[t.hold] = struct{}{}
			}
			close(t.ready)
			continue
		}
		kept = append(kept, t)
	}
	clear(g.queue[len(kept):])
	g.queue = kept
}

// mayEnter tells whether t conflicts with nobody inside, nor with those that wait ahead of it.
func (g *Gate) mayEnter(t *ticket, ahead []*ticket) bool {
	if t.commit != nil {
		for h := range g.holds {
			if t.commit.tears(h.over) {
				return false
			}
		}
		for _, a := range ahead {
			if a.hold != nil && t.commit.tears(a.hold.over) && !g.hangs(a.hold) {
				return false
			}
		}
		return true
	}
	if g.obstacle(t.hold) != nil {
		return false
	}
	for _, a := range ahead {
		if a.commit != nil && a.commit.tears(t.hold.over) {
			return false
		}
	}
	return true
}

// obstacle is what a hold has to wait for, nil for nothing; an error for the caller's use.
func (g *Gate) obstacle(h *Hold) error {
	if len(h.over) < 2 {
		return nil
	}
	var unseen []int
	for _, b := range h.over {
		if g.unseen[b] {
			unseen = append(unseen, b)
		}
	}
	if unseen != nil {
		return &InTheWay{Unseen: unseen}
	}
	for p := range g.commits {
		if p.tears(h.over) {
			return &InTheWay{GID: p.gid, Pending: slices.Clone(p.pending)}
		}
	}
	return nil
}

// hangs tells whether a hold waits for something that nobody knows the end of.
func (g *Gate) hangs(h *Hold) bool {
	for _, b := range h.over {
		if g.unseen[b] {
			return true
		}
	}
	for p := range g.commits {
		if p.tears(h.over) && (p.left || g.now().Sub(p.began) > hangsAfter) {
			return true
		}
	}
	return false
}

// tears tells whether a snapshot over these backends could see a part of the transaction and not another.
func (p *Passage) tears(over []int) bool {
	shared, pending := 0, false
	for _, b := range over {
		if p.parts == nil || slices.Contains(p.parts, b) {
			shared++
		}
		pending = pending || slices.Contains(p.pending, b)
	}
	return shared >= 2 && pending
}

// Listed tells the gate which transactions of this cluster were prepared on b at some time after the given one, and which
// of them no session of this process is at work on. What has gone from the list has ended there.
func (g *Gate) Listed(b int, since time.Time, prepared, orphaned []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.commits {
		if p.left && p.began.Before(since) && !slices.Contains(prepared, p.gid) {
			p.drop(b)
		}
	}
	if g.unseen[b] {
		delete(g.unseen, b)
		for _, gid := range orphaned {
			g.orphan(gid, b)
		}
	}
	g.admit()
}

// orphan notes a part of a transaction that another process has left, or is committing.
func (g *Gate) orphan(gid string, b int) {
	for p := range g.commits {
		if p.gid == gid {
			if p.parts == nil && !slices.Contains(p.pending, b) {
				p.pending = append(p.pending, b)
			}
			return
		}
	}
	g.commits[&Passage{g: g, gid: gid, pending: []int{b}, began: g.now(), left: true}] = struct{}{}
}

// Settled says that recovery has ended b's part.
func (g *Gate) Settled(gid string, b int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.commits {
		if p.gid == gid && p.left {
			p.drop(b)
		}
	}
	g.admit()
}

// Pending lists the transactions that are decided, or may be, and not committed everywhere, and that nobody but
// recovery will end.
func (g *Gate) Pending() map[string][]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string][]int{}
	for p := range g.commits {
		if p.left {
			out[p.gid] = slices.Clone(p.pending)
		}
	}
	return out
}
