package standby

import (
	"context"
	"time"

	"github.com/pleiad/pleiad/internal/lsn"
)

// Usable tells whether reads may go to a standby: it answers, it is one, and it is not outdated.
func (b *Backend) Usable(i int) bool { return b.Servers[i].usable.Load() }

// Failed says that a standby could not be reached: no more reads go there until it has answered.
func (b *Backend) Failed(i int) { b.Servers[i].usable.Store(false) }

// keepUsable looks at every standby.
func (b *Backend) keepUsable() {
	for i, s := range b.Servers {
		if now := b.judge(i); now != s.usable.Load() {
			s.usable.Store(now)
		}
	}
}

func (b *Backend) judge(i int) bool {
	b.mu.Lock()
	primary, timeline := b.primary, b.timeline
	_, outdated := b.outdated[i]
	b.mu.Unlock()
	if i == primary || outdated {
		return false
	}
	look, err := b.Servers[i].Watch.Look()
	if err != nil || look.Sent.IsZero() {
		return false
	}
	if ok, _ := b.Servers[i].Watch.times(); time.Since(ok) > b.settings().Detect {
		return false
	}
	// One that has not begun to follow the present primary may be behind without an end, or have what was given up.
	return b.Servers[i].Watch.Last().Recovering && look.Timeline == timeline
}

// Pick chooses a server for reads that need no certain position: of the usable standbys, and the primary where it takes
// reads, the one with the least load for its weight. It returns the primary when there is no other.
func (b *Backend) Pick() int {
	primary, _ := b.Primary()
	best, at := primary, -1.0
	first := int(b.picks.Add(1)) // so that of equal ones each has its turn
	for k := range b.Servers {
		i := (first + k) % len(b.Servers)
		s := b.Servers[i]
		weight := b.weight(i, primary)
		if weight <= 0 || i != primary && !b.Usable(i) {
			continue
		}
		if load := float64(s.Load.Load()+1) / float64(weight); at < 0 || load < at {
			best, at = i, load
		}
	}
	return best
}

// weight is a server's share of the reads. That of the configured primary is the primary's, whichever server that is; the
// one that took over has left its own to it.
func (b *Backend) weight(i, primary int) int {
	switch {
	case primary < 0:
	case i == primary:
		i = 0
	case i == 0:
		i = primary
	}
	return b.Servers[i].Weight
}

// Has tells whether standby i is known to have replayed up to l.
func (b *Backend) Has(i int, l lsn.LSN) bool { return b.Servers[i].Watch.Last().LSN >= l }

// Reached waits until standby i has replayed up to l, but not where it was waited for in vain and has not moved since.
func (b *Backend) Reached(ctx context.Context, i int, l lsn.LSN) bool {
	s := b.Servers[i]
	now := s.Watch.Last().LSN
	if now >= l {
		return true
	}
	if stuck := s.stuck.Load(); stuck != 0 && uint64(now) == stuck {
		return false
	}
	got, err := s.Watch.Reached(ctx, l)
	if err != nil {
		s.stuck.Store(uint64(got.LSN))
		return false
	}
	s.stuck.Store(0)
	return got.Recovering
}
