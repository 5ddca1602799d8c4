package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// A READ COMMITTED statement takes its snapshot when its portal is bound: for a SELECT, PortalStart (pquery.c) does,
// before BindComplete is sent. So with pleiad.snapshot the statement is bound on all of its backends while no
// distributed commit can get in between, and executed afterwards.

const (
	// bindLimit is how long commits are kept waiting for portals to be bound. Parse and Bind wait for locks of their
	// relations; where that takes longer they are awaited all the same, and bound again under the locks they have then.
	bindLimit    = 250 * time.Millisecond
	bindAttempts = 4
)

// snapshots tells whether queries over several backends have to see one state of them.
func (g *Gang) snapshots() bool {
	switch g.Txn.Isolation {
	case "repeatable read", "serializable":
		return false // isolation.go took the transaction's one
	}
	return g.Snapshot
}

// binding is what a statement composes for its members: Parse, and Bind of the statement that this made.
type binding struct {
	parse func(i int) named
	bind  func(i int, statement string)
}

// bindTogether sends each member Parse and Bind at first, and Bind alone again,
// and waits until all are bound to snapshots that see the same distributed transactions. What must follow is Execute
// and Sync. After an ErrorResponse or an error the members are in sync.
func (g *Gang) bindTogether(ctx context.Context, members []*Member, b binding) (*bound, error) {
	over := backendsOf(members)
	all := &bound{named: make([]named, len(members)), replies: make([]bindReply, len(members))}
	for try := range bindAttempts {
		hold, err := g.Servers.HoldCommits(ctx, over, bindLimit)
		if err != nil {
			if try > 0 {
				syncAll(members)
			}
			return nil, err
		}
		var reading sync.WaitGroup
		for i, m := range members {
			if try == 0 {
				all.named[i] = b.parse(i)
			}
			b.bind(i, all.named[i].name())
			m.Out = wire.Flush(m.Out)
			m.opening, m.Extended = false, false
			reading.Go(func() { all.replies[i].await(m) })
		}
		reading.Wait()
		for i, r := range all.replies {
			if r.parsed {
				members[i].parsed(all.named[i])
			}
		}
		inForce := hold.Release()
		if all.failed() {
			syncAll(members)
			return all, nil
		}
		if inForce {
			return all, nil
		}
	}
	syncAll(members)
	return nil, pgerr.New(pgerr.LockNotAvailable, "a snapshot over several backends could not be taken in time").
		WithHint("The statement waited for locks again and again. Run it again, or without pleiad.snapshot.")
}

// bound is what the members said to Parse and Bind.
type bound struct {
	named   []named
	replies []bindReply // nil where nothing has been sent yet
}

type bindReply struct {
	parsed  bool     // ParseComplete has come
	failure []byte   // ErrorResponse
	lost    error    // the connection's end
	notices [][]byte // NoticeResponses
}

// failed tells whether one is not bound.
func (b *bound) failed() bool { return b.first() >= 0 }

// first is the member that failed first, -1 for none.
func (b *bound) first() int {
	for i, r := range b.replies {
		if r.failure != nil || r.lost != nil {
			return i
		}
	}
	return -1
}

// await reads up to BindComplete.
func (r *bindReply) await(m *Member) {
	if r.lost = m.Send(); r.lost != nil {
		return
	}
	for {
		typ, frame, err := m.Next()
		if err != nil {
			r.lost = err
			return
		}
		switch typ {
		case '1':
			r.parsed = true
		case '3', 'A':
		case '2':
			return
		case 'N':
			r.notices = append(r.notices, bytes.Clone(frame))
		case 'S':
			m.NoteParameter(frame)
		case 'E':
			if isFatal(frame) {
				r.lost = m.Lost(fatalError(frame))
				return
			}
			r.failure = bytes.Clone(frame)
			return
		default:
			r.lost = m.Lost(fmt.Errorf("message %q in answer to Bind", typ))
			return
		}
	}
}

// syncAll ends what was begun on the members with a Sync each.
func syncAll(members []*Member) {
	for _, m := range members {
		m.Out = wire.Sync(m.Out)
		m.Owed++
		m.opening, m.Extended = false, false
		_ = m.Send() // one that is lost says so below
	}
	for _, m := range members {
		_, _ = m.drainInto(nil) // lost ones say so at their next use
	}
}

// executeBound composes what runs a bound portal.
func (m *Member) executeBound() {
	m.Out = wire.Describe(m.Out, 'P', "")
	m.Out = wire.Execute(m.Out, "", 0)
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
}

// bindAll composes Parse and Bind on every member. Where snapshots have to agree they are bound here; otherwise nothing
// is sent yet.
func (g *Gang) bindAll(ctx context.Context, members []*Member, snapshot bool, b binding) (*bound, error) {
	if !snapshot || len(members) < 2 || !g.snapshots() {
		all := &bound{named: make([]named, len(members))}
		for i := range members {
			all.named[i] = b.parse(i)
			b.bind(i, all.named[i].name())
		}
		return all, nil
	}
	for _, m := range members {
		if err := Settle(m); err != nil {
			return nil, err
		}
	}
	return g.bindTogether(ctx, members, b)
}

// Frozen makes the transaction that is about to begin see one state of all backends from its first statement to its
// last: for statements that are several on the servers.
func (g *Gang) Frozen() {
	g.Begin(TxnImplicit, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	g.Txn.Isolation = "repeatable read"
}

// SnapshotError words what kept a snapshot from being taken; name gives a backend's name.
func SnapshotError(err error, name func(b int) string) error {
	var way *InTheWay
	if !errors.As(err, &way) {
		return err
	}
	list := func(backends []int) (out string) {
		for i, b := range backends {
			if i > 0 {
				out += ", "
			}
			out += fmt.Sprintf("%q", name(b))
		}
		return out
	}
	e := pgerr.New(pgerr.LockNotAvailable, "a snapshot over several backends could not be taken in time").
		WithHint("See pleiad.transactions. Without pleiad.snapshot statements do not wait, and may read a half committed transaction.")
	if way.Unseen != nil {
		return e.WithDetail("Backend %s has not said which distributed transactions are prepared on it.", list(way.Unseen))
	}
	return e.WithDetail("Distributed transaction %s is committed, and backend %s has not said so yet.", way.GID, list(way.Pending))
}
