package executor

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// Durability makes commits wait until standbys have applied them.
type Durability interface {
	// Replicated tells whether a backend has standbys to wait for.
	Replicated(backend int) bool
	// Staffed tells whether as many standbys as must confirm receive from the backend's primary now.
	Staffed(backend int) bool
	// Ready makes sure that the backend's primary knows which standbys confirm.
	Ready(ctx context.Context, backend int) error
	// Watch looks after commits that are about to be sent, until stop: those that wait for too long are let go on
	// without standbys, or are abandoned (Member.Abandon). One whose client did not ask for it goes on as soon as its
	// standbys are seen gone. Once stop has returned, nobody touches the members.
	Watch(commits []*Member, asked bool) (stop func())
	// Check makes sure of a commit that the primary may not have waited for.
	Check(ctx context.Context, backend int) error
}

// unknownSettings is the id of no set of settings: a connection with it gets its settings anew.
const unknownSettings = math.MaxUint64

const (
	syncOn  = "SET synchronous_commit TO remote_apply"
	syncTxn = "SET LOCAL synchronous_commit TO remote_apply;"
	keepTxn = "SET LOCAL synchronous_commit TO on;"
)

// waiting is how far the end of a member's part waits for standbys.
type waiting uint8

const (
	waitNone waiting = iota
	// waitKept: PREPARE TRANSACTION and the decision wait until standbys have them on disk. A distributed transaction that
	// asked for nothing has this, so that a primary that is lost cannot take one part of it along.
	waitKept
	// waitApplied: everything waits until standbys have applied it.
	waitApplied
)

// readySync prepares the backends of a transaction that waits for standbys.
func (g *Gang) readySync(ctx context.Context) (errFrame []byte) {
	for _, m := range g.members {
		m.waits = waitNone
	}
	if g.Sync == nil {
		g.Txn.Sync = false
		return nil
	}
	if !g.Txn.Sync && g.Writers() < 2 {
		return nil
	}
	if errFrame := g.joinHome(ctx); errFrame != nil {
		return errFrame
	}
	for _, m := range g.members {
		if !m.Began || !g.Sync.Replicated(m.Backend) || !g.Txn.Sync && !g.Sync.Staffed(m.Backend) {
			continue
		}
		err := g.Sync.Ready(ctx, m.Backend)
		switch {
		case err == nil && g.Txn.Sync:
			m.waits = waitApplied
		case err == nil:
			m.waits = waitKept
		case g.Txn.Sync:
			return wire.Error(nil, pgerr.New(pgerr.ConnectionFailure, "backend %q cannot wait for its standbys", m.Name).
				WithDetail("%v", err))
		}
	}
	return nil
}

// Writers is how many backends the transaction has written on.
func (g *Gang) Writers() (n int) {
	for _, m := range g.members {
		if m.Began && m.Wrote {
			n++
		}
	}
	return n
}

// syncing is the statement that ends a part of the transaction, with what makes it wait. COMMIT PREPARED stands alone, so
// that the setting goes ahead of it.
func (m *Member) syncing(sql string) string {
	ends := sql == "COMMIT" || strings.HasPrefix(sql, "PREPARE TRANSACTION")
	switch {
	case ends && m.waits == waitApplied:
		return syncTxn + sql
	case ends && m.waits == waitKept:
		return keepTxn + sql
	case m.waits == waitApplied && strings.HasPrefix(sql, "COMMIT PREPARED"):
		m.Internal(syncOn)
		m.odd = true
	}
	return sql
}

// watched are the members whose answers may be kept back by standbys.
func watched(all []*Member, sql string) (out []*Member, asked bool) {
	if sql == "ROLLBACK" || strings.HasPrefix(sql, "ROLLBACK PREPARED") {
		return nil, false
	}
	for _, m := range all {
		if m.waits == waitApplied || m.waits == waitKept && !strings.HasPrefix(sql, "COMMIT PREPARED") {
			out, asked = append(out, m), asked || m.waits == waitApplied
		}
	}
	return out, asked
}

// joinHome brings home into a distributed transaction: the decision, which is written in home's part then, has to wait
// for home's standbys.
func (g *Gang) joinHome(ctx context.Context) (errFrame []byte) {
	home := g.Servers.Home()
	if g.Writers() < 2 || !g.Sync.Replicated(home) {
		return nil
	}
	m, err := g.join(ctx, g.Member(home), home)
	if err != nil {
		return wire.Error(nil, ClientError(err))
	}
	m.Wrote = true
	return nil
}

// Abandon gives up waiting for a commit. The server keeps the connection until it stops waiting, or finds it closed.
func (m *Member) Abandon() {
	atomic.StoreUint32(&m.abandoned, 1)
	_ = m.Conn.SetReadDeadline(time.Unix(1, 0))
}

func (m *Member) isAbandoned() bool { return atomic.LoadUint32(&m.abandoned) != 0 }

// checkSync makes sure, behind the commit, of what the primaries may not have waited for.
func (g *Gang) checkSync(ctx context.Context, writers []*Member) []byte {
	if !g.Txn.Sync {
		return nil
	}
	for _, m := range writers {
		if !g.Sync.Replicated(m.Backend) {
			continue
		}
		if err := g.Sync.Check(ctx, m.Backend); err != nil {
			return wire.Error(nil, unconfirmed(m).WithDetail("%v", err))
		}
	}
	return nil
}

// checkKept waits, before the decision that relies on them, for parts that the primary may not have waited for. Where
// standbys are missing the transaction goes on without them.
func (g *Gang) checkKept(ctx context.Context, parts ...*Member) {
	for _, m := range parts {
		if m.waits == waitKept {
			_ = g.Sync.Check(ctx, m.Backend)
		}
	}
}

// unsynced is what is told of a part that was not confirmed in time.
func unsynced(m *Member, sql string) []byte {
	if strings.HasPrefix(sql, "PREPARE TRANSACTION") {
		return wire.Error(nil, pgerr.New(pgerr.TransactionRollback,
			"backend %q: too few standbys have confirmed the transaction, which is rolled back", m.Name).
			WithHint("Run the transaction again when pleiad.backends shows them up."))
	}
	return wire.Error(nil, unconfirmed(m))
}

func unconfirmed(m *Member) *pgerr.Error {
	return pgerr.New(pgerr.StatementCompletionUnknown,
		"the transaction is committed and durable on the primary of backend %q, but too few standbys have applied it", m.Name).
		WithHint("It is lost if that primary is lost before a standby has it; do not run it again without looking.")
}

// Committed tells the error of a transaction that is committed, though not replicated as it should be.
func Committed(frame []byte) bool {
	return wire.ErrorField(frame, 'C') == pgerr.StatementCompletionUnknown
}
