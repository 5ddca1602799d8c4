package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// A statement that uses shards passes the database's barrier (internal/executor/barrier.go) between being routed and being
// sent. Where a shard is changing its backend at that moment, it waits and is routed anew.

// enter passes the barrier for a template routed to set. again says that the shard map is another one than it was routed by.
func (s *Session) enter(t *router.Template, set *shardmap.ShardSet) (again bool, err error) {
	if s.db.barrier.Idle() {
		return s.outdated()
	}
	if t.Kind == router.KindEverywhere || t.Gather != nil && t.Gather.Target != nil {
		return s.enterPlaces(executor.Everywhere)
	}
	var places []executor.Place
	for i := range t.Prune {
		for b := range set.All() {
			places = append(places, executor.Place{Group: t.Prune[i].Table.Group, Backend: int(b)})
		}
	}
	return s.enterPlaces(places...)
}

// enterTable is enter for rows of a table that go to owners.
func (s *Session) enterTable(t *router.Table, owners []int) (again bool, err error) {
	if t.Kind != router.TableSharded {
		return s.enterPlaces(executor.Everywhere)
	}
	places := make([]executor.Place, 0, 8)
	for _, b := range owners {
		p := executor.Place{Group: t.Group, Backend: b}
		if n := len(places); n == 0 || places[n-1] != p {
			places = append(places, p)
		}
	}
	return s.enterPlaces(places...)
}

// enterOwners is enterTable for rows that are not known yet: they may go to any shard of the table.
func (s *Session) enterOwners(t *router.Table) error {
	for {
		var list []int
		if t.Kind == router.TableSharded {
			owners, _ := s.planner.env.Schema.Map.Owners(shardmap.GroupID(t.Group))
			set := backends{}
			for _, b := range owners {
				set.add(int(b))
			}
			list = set.list()
		}
		again, err := s.enterTable(t, list)
		if !again || err != nil {
			return err
		}
	}
}

// enterEverything passes for a statement that runs on every backend whatever the map says.
func (s *Session) enterEverything() error {
	for {
		waited, err := s.enterPlaces(executor.Everywhere)
		if !waited || err != nil {
			return err
		}
	}
}

func (s *Session) enterPlaces(places ...executor.Place) (again bool, err error) {
	if s.gang.Txn.LastingSnapshot() {
		places = []executor.Place{executor.Everywhere}
	}
	waited, err := s.gang.Pass.Enter(s.ctx, places...)
	if err != nil {
		return false, err
	}
	again, err = s.outdated()
	return again || waited, err
}

// outdated tells whether the schema has changed since the statement was planned, and makes the session use the new one. A
// plan stays right when a shard moves: only the map is another one.
func (s *Session) outdated() (bool, error) {
	if s.planner.private != nil || s.planner.env.Schema == s.db.schema.Load() {
		return false, nil
	}
	if err := s.readyToPlan(); err != nil {
		return false, err
	}
	if s.skip {
		return false, errBatchFailed
	}
	s.planner.current(s)
	if e := s.planner.unknown; e != nil {
		return false, e
	}
	return true, nil
}

// errBatchFailed stands for an error that the client has been told already.
var errBatchFailed = pgerr.New(pgerr.InternalError, "the batch has failed")
