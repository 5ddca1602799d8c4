package rebalancer

import (
	"context"
	"errors"
	"testing"
	"time"
)

// pressed is a cluster whose clients keep it busy, or not.
type pressed struct {
	Cluster
	busy  bool
	asked int
}

func (p *pressed) Pressed() bool {
	p.asked++
	return p.busy
}

// A copy works no longer than it pauses while clients' statements run, and does not pause otherwise.
func TestCopiesGiveWay(t *testing.T) {
	for _, busy := range []bool{false, true} {
		cluster := &pressed{busy: busy}
		ctx, cancel := context.WithCancel(t.Context())
		r := &metered{ctx: ctx, move: &move{cluster: cluster}, since: time.Now().Add(time.Hour)}
		if err := r.giveWay(); err != nil || cluster.asked != 0 {
			t.Errorf("it looks %d times before its turn is over, %v", cluster.asked, err)
		}
		const worked = turn + turn/2
		began := time.Now()
		r.since = began.Add(-worked)
		err := r.giveWay()
		if took := time.Since(began); err != nil || cluster.asked != 1 || busy && took < worked {
			t.Errorf("busy %t: asked %d times, paused for %s, %v", busy, cluster.asked, took, err)
		}
		if r.since.Before(began) {
			t.Errorf("busy %t: the next turn has begun before this one", busy)
		}
		cancel()
		r.since = began.Add(-worked)
		if err := r.giveWay(); !errors.Is(err, context.Canceled) {
			t.Errorf("busy %t: a job that ends goes on copying: %v", busy, err)
		}
	}
}
