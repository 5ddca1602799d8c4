package executor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// admit decides whether another backend may join the open transaction, by its isolation level.
//
// A serializable transaction is PostgreSQL's own on one backend; over several, nobody would see a cycle of conflicts
// that runs through two of them. A repeatable read transaction sees one state of all backends: it takes its snapshot
// everywhere before its first statement, while no distributed commit is half done.
//
// Both kinds count as users of every shard: their snapshots are of before a shard came to its next backend, and would not
// see the rows there.
func (g *Gang) admit(ctx context.Context, b int) error {
	if g.Txn.LastingSnapshot() && g.Pass != nil {
		for waited := true; waited; {
			var err error
			if waited, err = g.Pass.Enter(ctx, Everywhere); err != nil {
				return err
			}
		}
	}
	switch g.Txn.Isolation {
	case "serializable":
		for _, m := range g.members {
			if m.Began && m.Touched {
				return pgerr.New(pgerr.FeatureNotSupported, "a SERIALIZABLE transaction over several backends is not supported").
					WithHint("Use REPEATABLE READ, or restrict the transaction to one value of the partition key.")
			}
		}
	case "repeatable read":
		if g.Txn.late {
			return pgerr.New(pgerr.FeatureNotSupported, "a REPEATABLE READ pipeline without BEGIN over several backends is not supported").
				WithHint("Send BEGIN first.")
		}
		if g.Txn.frozen {
			return pgerr.New(pgerr.ConnectionFailure,
				"backend %q could not be reached when this REPEATABLE READ transaction took its snapshot", g.Servers.Name(b)).
				WithHint("Run the transaction again.")
		}
		return g.freeze(ctx)
	}
	return nil
}

const (
	// joinLimit bounds how long a backend may take to begin a transaction that may never need it.
	joinLimit = 2 * time.Second
	// freezeLimit bounds how long commits wait while all backends take a transaction's snapshot.
	freezeLimit = time.Second
)

// freeze takes the transaction's snapshot on every backend that can be reached. One that does not answer in time is
// passed over, as one that is down: that is said if the transaction should need it.
func (g *Gang) freeze(ctx context.Context) error {
	g.Txn.frozen = true
	joined, err := g.beginEverywhere(ctx)
	if err != nil {
		return err
	}
	hold, err := g.Servers.HoldCommits(ctx, backendsOf(joined), freezeLimit)
	if err != nil {
		return err
	}
	defer hold.Release()
	for _, m := range joined {
		m.Internal("SELECT 1") // the first query of the transaction takes its snapshot
		_ = m.Send()           // one that is lost says so again
	}
	for _, m := range joined {
		if err := Settle(m); err != nil {
			return err
		}
	}
	if !hold.Release() {
		return pgerr.New(pgerr.LockNotAvailable, "a snapshot over several backends could not be taken in time").
			WithHint("Run the transaction again.")
	}
	return nil
}

// beginEverywhere opens the transaction on every backend, which takes no snapshot yet.
func (g *Gang) beginEverywhere(ctx context.Context) (joined []*Member, err error) {
	soon, stop := context.WithTimeout(ctx, joinLimit)
	defer stop()
	deadline, _ := soon.Deadline()
	for _, b := range g.Servers.All() {
		m := g.Member(b)
		if m != nil && m.Began {
			joined = append(joined, m)
			continue
		}
		if m == nil {
			c, types, err := g.lend(soon, b)
			if err != nil {
				if ctx.Err() != nil {
					return nil, err
				}
				continue
			}
			m = g.add(c, types)
		}
		_ = m.Conn.SetReadDeadline(deadline)
		if _, err := g.join(soon, m, b); err != nil {
			if !errors.Is(err, backend.ErrLost) {
				return nil, err
			}
			g.Drop(m)
			continue
		}
		if m.opening {
			m.SyncNow()
		}
		_ = m.Send() // one that is lost says so again
		joined = append(joined, m)
	}
	return slices.DeleteFunc(joined, func(m *Member) bool {
		if err := Settle(m); err != nil {
			g.Drop(m)
			return true
		}
		_ = m.Conn.SetReadDeadline(time.Time{})
		return false
	}), nil
}

// LastingSnapshot tells whether the transaction's statements all see the state of its first.
func (t *Txn) LastingSnapshot() bool {
	return t.Isolation == "repeatable read" || t.Isolation == "serializable"
}
