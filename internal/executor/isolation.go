package executor

import (
	"context"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// admit decides whether another backend may join the open transaction, by its isolation level.
//
// A serializable transaction is PostgreSQL's own on one backend; over several, nobody would see a cycle of conflicts
// that runs through two of them. A repeatable read transaction sees one state of all backends: it takes its snapshot
// everywhere before its first statement, while no distributed commit is half done.
func (g *Gang) admit(ctx context.Context, b int) error {
	switch g.Txn.Isolation {
	case "serializable":
		for _, m := range g.members {
			if m.Began && m.Touched {
				return pgerr.New(pgerr.FeatureNotSupported, "a SERIALIZABLE transaction over several backends is not supported").
					WithHint("Use REPEATABLE READ, or restrict the transaction to one value of the partition key.")
			}
		}
	case "repeatable read":
		if g.Txn.frozen {
			return pgerr.New(pgerr.ConnectionFailure,
				"backend %q could not be reached when this REPEATABLE READ transaction took its snapshot", g.Servers.Name(b)).
				WithHint("Run the transaction again.")
		}
		return g.freeze(ctx)
	}
	return nil
}

// freeze takes the transaction's snapshot on every backend that can be reached.
func (g *Gang) freeze(ctx context.Context) error {
	g.Txn.frozen = true
	unlock := g.Servers.HoldCommits()
	defer unlock()
	var joined []*Member
	for _, b := range g.Servers.All() {
		m, err := g.join(ctx, g.Member(b), b)
		if err != nil {
			continue // said if the transaction should need it
		}
		m.Internal("SELECT 1") // the first query of the transaction takes its snapshot
		if m.Send() == nil {
			joined = append(joined, m)
		}
	}
	for _, m := range joined {
		if err := Settle(m); err != nil {
			return err
		}
	}
	return nil
}
