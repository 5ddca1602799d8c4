package standby

import (
	"fmt"
	"time"

	"github.com/pleiad/pleiad/internal/lsn"
)

// State is one server as a decision sees it.
type State struct {
	Answers    bool
	Recovering bool
	Unfit      time.Duration // since it last answered as a server that takes writes
	Timeline   uint32
	Received   lsn.LSN
}

// View is what a decision is made from.
type View struct {
	Primary  int    // index of the server that is used as the primary; -1: none is known
	Timeline uint32 // the newest that the backend is known to have
	Servers  []State
	Detect   time.Duration // how long a primary may be unfit
}

// Decision is what to do.
type Decision struct {
	Action Action
	Server int // Follow
}

// Action says what a backend needs.
type Action uint8

// The actions.
const (
	Stay    Action = iota // the primary is fit, or may be soon
	Follow                // another server is the primary already
	Replace               // the primary is lost
	Unclear               // more than one server claims to be the primary, with equal rights
)

// Decide tells what a backend needs. A server that is not in recovery on a later timeline was promoted by somebody, and
// whatever the old primary takes from then on is not the backend's any more.
func Decide(v View) Decision {
	best, equal := -1, false
	for i, s := range v.Servers {
		if !s.Answers || s.Recovering || s.Timeline < v.Timeline {
			continue
		}
		switch {
		case best < 0 || s.Timeline > v.Servers[best].Timeline:
			best, equal = i, false
		case s.Timeline == v.Servers[best].Timeline:
			equal = true
			if i == v.Primary {
				best = i
			}
		}
	}
	switch {
	case best >= 0 && best != v.Primary && equal && (v.Primary < 0 || v.Servers[best].Timeline > v.Timeline):
		return Decision{Action: Unclear}
	case best >= 0 && best != v.Primary && (v.Primary < 0 || v.Servers[best].Timeline > v.Timeline):
		return Decision{Action: Follow, Server: best}
	case best >= 0 && best == v.Primary && v.Servers[best].Unfit < v.Detect:
		return Decision{Action: Stay}
	case v.Primary < 0:
		return Decision{Action: Stay}
	case v.Servers[v.Primary].Unfit < v.Detect:
		return Decision{Action: Stay}
	case best >= 0 && best != v.Primary:
		// On the same timeline as the lost one: it was promoted without a new timeline, which PostgreSQL does not do.
		return Decision{Action: Unclear}
	}
	return Decision{Action: Replace}
}

// Quorum is how many of n standbys must answer before one of them is promoted: so many that two proxies cannot each
// promote one, and, with commits that k standbys confirm, that one of them has every confirmed commit.
func Quorum(n, k int) int { return max(n/2+1, n-k+1) }

// Choose picks the standby with the most log, of equal ones the first.
func Choose(servers []State, primary, confirm int) (int, error) {
	best, standbys, answering := -1, 0, 0
	for i, s := range servers {
		if i == primary {
			continue
		}
		standbys++
		if !s.Answers || !s.Recovering {
			continue
		}
		answering++
		if best < 0 || s.Timeline > servers[best].Timeline ||
			s.Timeline == servers[best].Timeline && s.Received > servers[best].Received {
			best = i
		}
	}
	if need := Quorum(standbys, confirm); standbys == 0 || answering < need {
		return -1, fmt.Errorf("%d of %d standbys answer, and %d must before one is promoted", answering, standbys, max(need, 1))
	}
	return best, nil
}
