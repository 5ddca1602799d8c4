package executor

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// Servers is what a Gang needs of the cluster, bound to one database and role.
type Servers interface {
	// Get lends a connection to a backend.
	Get(ctx context.Context, backend int) (*backend.Conn, error)
	// OIDs translates a backend's oids; nil for home. Without it nothing may run there: the client would see other types.
	OIDs(backend int) (*OIDs, error)
	// Derived tells the names of partitions and their constraints on a backend; nil when they cannot be read.
	Derived(backend int) *Derived
	// Home is the index of the backend that records decisions.
	Home() int
	// All lists the backends of the database, and Name is a backend's name.
	All() []int
	Name(backend int) string
	// HoldCommits waits, for a time, until no distributed transaction is half committed as seen from these backends,
	// and keeps others from getting there until the hold is released, or for as long as limit. PassGate is the
	// committers' side of it: it waits until the decision about gid, of which these backends have parts, can be made.
	HoldCommits(ctx context.Context, over []int, limit time.Duration) (*Hold, error)
	PassGate(gid string, parts []int) *Passage
	// Decide makes the decision to commit gid durable on home, or returns ErrAborted when recovery was
	// faster; any other error leaves the outcome unknown.
	Decide(ctx context.Context, gid string) error
	// Forget drops the decision once every participant has committed.
	Forget(gid string)
	// NewGID returns a name for a distributed transaction that no other one has.
	NewGID() string
	// Settled says that the coordinator has nothing more to do for gid.
	Settled(gid string)
	// Spans says whether the session has connections to several backends, or waits for another one beside those it has.
	Spans(yes bool)
	// StatementLimit bounds the prepared statements on one server connection.
	StatementLimit() int
}

// Member is one backend's connection in a session's hands.
type Member struct {
	*backend.Conn
	Queue Queue
	Types *OIDs
	// TypesAge is the session's own mark of Types that it has set; 0 for those of Servers.
	TypesAge uint64
	// Began is true once BEGIN was sent in the current transaction.
	Began bool
	// Wrote is true once a statement that may write ran in the current transaction.
	Wrote bool
	// Touched is true once a statement that reads or writes data ran in the current transaction.
	Touched bool
	// Holds is true once a cursor WITH HOLD was declared in the current transaction.
	Holds bool
	// Pinned members stay with the session after the transaction.
	Pinned bool
	// Shift is how many characters of the client's message stand ahead of the statement that runs.
	Shift int
	// Position, when set, translates error positions before Shift is added: the statement was rewritten.
	Position func(int) int
	// Unseen is true while a prepared statement runs that the client knows as a simple query.
	Unseen bool
	// Extended is true when messages of the extended protocol were sent and no Sync behind them.
	Extended bool
	// abandoned is not 0 once a commit is not waited for any longer, though the server goes on waiting. Any goroutine
	// may set it until Durability's watch has stopped.
	abandoned uint32
	// waits is how far the end of its part waits for standbys.
	waits waiting
	// odd says that the connection has a setting that its Settings do not tell of.
	odd bool

	gang *Gang
	// opening is true when BEGIN was composed and nothing behind it that makes the server send its answers.
	opening bool
}

// Gang is the server connections of one session and the transaction that they are in. One goroutine uses it; only
// Cancel may be called from others.
type Gang struct {
	ID       uint64 // of the session, never 0
	Servers  Servers
	Settings *backend.Settings
	PinAll   bool // session pooling
	Snapshot bool // queries over several backends see one state of them (pleiad.snapshot)
	Pass     *Pass
	Txn      Txn
	Sync     Durability // nil where no backend has standbys

	// Verdict, once set by another goroutine, is what the running statement's cancel is for.
	Verdict atomic.Pointer[pgerr.Error]

	// Began is when the open transaction began, Unix nanoseconds, 0 for none; any goroutine may read it.
	Began atomic.Int64

	mu      sync.Mutex // guards members against Cancel and Held
	members []*Member
	wants   int // 1 + the backend that a connection is awaited of, beside the members; 0: none
	spans   bool
	spare   *Member // a Member to use again

	sequences sequences

	streaming []*Scatter // suspended ones that read on connections of members
}

// Members lists the connections held now, for use: suspended statements free theirs first.
func (g *Gang) Members() []*Member {
	if g.Txn.State == TxnNone {
		g.killStreams()
	} else {
		g.quiesce()
	}
	return g.members
}

// Member returns the connection to a backend if one is held.
func (g *Gang) Member(backend int) *Member {
	for _, m := range g.members {
		if m.Backend == backend {
			return m
		}
	}
	return nil
}

// Join makes a backend's connection part of what the session does: it lends one when none is held, and composes
// ahead of the caller's first message what brings it into the session's state and transaction.
func (g *Gang) Join(ctx context.Context, b int) (*Member, error) {
	g.quiesce()
	m := g.Member(b)
	if g.Txn.open() && (m == nil || !m.Began) {
		if err := g.admit(ctx, b); err != nil {
			return nil, err
		}
		m = g.Member(b)
	}
	return g.join(ctx, m, b)
}

func (g *Gang) join(ctx context.Context, m *Member, b int) (*Member, error) {
	switch {
	case m == nil:
		c, types, err := g.lend(ctx, b)
		if err != nil {
			return nil, err
		}
		m = g.add(c, types)
	case m.Began && m.TypesAge != 0: // it speaks of what its own transaction has made
	case m.Queue.Len() == 0:
		// It may have been held since before types were made.
		types, err := g.Servers.OIDs(b)
		if err != nil {
			return nil, err
		}
		m.Types, m.TypesAge = types, 0
	}
	if m.Began {
		return m, nil
	}
	if err := g.prepareState(m); err != nil {
		return nil, err
	}
	if g.Txn.open() {
		if err := g.begin(m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// lend gets a connection, and what it takes to speak of types there. While a session that holds others waits for one, it
// may be a part of a deadlock.
func (g *Gang) lend(ctx context.Context, b int) (c *backend.Conn, types *OIDs, err error) {
	if types, err = g.Servers.OIDs(b); err != nil {
		return nil, nil, err
	}
	if c = g.regain(b); c != nil {
		return c, types, nil
	}
	if len(g.members) == 0 {
		c, err = g.Servers.Get(ctx, b)
		return c, types, err
	}
	c, err = g.Servers.Get(backend.NoteWait(ctx, func(waiting bool) {
		g.mu.Lock()
		g.wants = 0
		if waiting {
			g.wants = 1 + b
		}
		g.mu.Unlock()
		g.spread()
	}), b)
	return c, types, err
}

// spread tells the servers when the session begins or ceases to hold several connections.
func (g *Gang) spread() {
	if now := len(g.members) > 1 || g.wants != 0; now != g.spans {
		g.spans = now
		g.Servers.Spans(now)
	}
}

// Held is a connection that a session has, and Wanted the backend that it waits for one of.
type Held struct {
	Backend int
	PID     uint32
}

// Held lists the connections; any goroutine may call it. wanted is -1 if none is waited for.
func (g *Gang) Held() (held []Held, wanted int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		held = append(held, Held{Backend: m.Backend, PID: m.PID()})
	}
	return held, g.wants - 1
}

func (g *Gang) add(c *backend.Conn, types *OIDs) *Member {
	m := g.spare
	g.spare = nil
	if m == nil {
		m = &Member{}
	}
	m.Conn = c
	m.Types, m.TypesAge = types, 0
	m.Pinned = g.PinAll || g.sequences.asked && g.sequences.conn == c
	m.gang = g
	g.mu.Lock()
	g.members = append(g.members, m)
	g.mu.Unlock()
	g.spread()
	return m
}

// prepareState turns the connection's settings into the session's, and waits until that is done: the statement must
// not run where it failed.
func (g *Gang) prepareState(m *Member) error {
	want := g.Settings
	if g.Txn.State != TxnNone {
		want = g.Txn.base
	}
	discard := m.Unclean && m.Owner != g.ID
	if discard {
		m.Internal("DISCARD ALL")
		m.Internal("RESET ROLE") // which DISCARD ALL leaves to come back with a ROLLBACK
		m.Statements.Clear()
		m.Unclean = false
		m.Settings = 0
		if m.Conn == g.sequences.conn {
			g.loseSequences()
		}
	}
	m.Owner = g.ID
	if m.Conn.Settings == want.ID && !discard {
		return nil
	}
	if m.Conn.Settings != want.ID {
		sql := want.Apply
		if m.Conn.Settings != 0 {
			sql = backend.ResetSQL + sql
		}
		m.Internal(sql)
		m.Conn.Settings = want.ID
	}
	return Settle(m)
}

// begin composes BEGIN. It goes ahead of the first statement in one write, as messages without a Sync of their own:
// should BEGIN fail, or be cancelled, the server skips the statement too. Where the transaction has set or saved
// something so far, that is done before the statement is sent.
func (g *Gang) begin(m *Member) error {
	g.MarkBegun(m)
	if len(g.Txn.journal) > 0 {
		m.Internal(g.Txn.opening())
		return Settle(m)
	}
	m.unnamed("", g.Txn.beginSQL)
	m.opening = true
	return nil
}

// unnamed composes a statement of pleiad's own as messages of the extended protocol without a Sync, whose answers are skipped.
func (m *Member) unnamed(portal, sql string) {
	m.Out = wire.Parse(m.Out, "", sql, nil)
	m.Queue.Push(Owed{Msg: 'P', Reply: Skip})
	m.Out = wire.Bind(m.Out, portal, "", wire.NoParams)
	m.Queue.Push(Owed{Msg: 'B', Reply: Skip})
	m.Out = wire.Execute(m.Out, portal, 0)
	m.Queue.Push(Owed{Msg: 'E', Reply: Skip})
	m.Conn.Unnamed = 0
}

// Aside composes a statement of pleiad's own in the middle of the client's messages, of which it ends neither portal nor
// transaction.
func (m *Member) Aside(sql string) {
	const portal = "pleiad_aside"
	m.unnamed(portal, sql)
	m.Out = wire.CloseMessage(m.Out, 'P', portal)
	m.Queue.Push(Owed{Msg: 'C', Reply: Quiet})
	m.Extended = true
}

// Internal composes a simple query of pleiad's own, whose answer is skipped.
func (m *Member) Internal(sql string) {
	m.Conn.Unnamed = 0 // a simple query drops it
	m.Out = wire.Query(m.Out, sql)
	m.Owed++
	m.opening, m.Extended = false, false
	m.Queue.Push(Owed{Msg: 'Q', Reply: Skip})
}

// Query composes the client's simple query, or a part of it.
func (m *Member) Query(sql []byte) {
	m.Conn.Unnamed = 0 // a simple query drops it
	dst, at := wire.Begin(m.Out, 'Q')
	dst = append(append(dst, sql...), 0)
	m.Out = wire.End(dst, at)
	m.Owed++
	m.opening, m.Extended = false, false
	m.Queue.Push(Owed{Msg: 'Q'})
}

// FunctionCall passes the client's FunctionCall message on.
func (m *Member) FunctionCall(frame []byte) {
	m.Out = append(m.Out, frame...)
	m.Owed++
	m.opening, m.Extended = false, false
	m.Queue.Push(Owed{Msg: 'F'})
}

// Bound composes a statement of the extended protocol that runs at once: Parse, Bind, Execute and Sync, of which
// the client sees the rows and the tag only.
func (m *Member) Bound(text []byte, oids []uint32, params []byte, formats []int16, rows int64) {
	shape := m.bindText(text, oids, params, formats)
	if shape != nil {
		m.Out = wire.Describe(m.Out, 'P', "")
		m.Queue.Push(Owed{Msg: 'D', Reply: Quiet, Shape: shape})
	}
	m.execute(shape, formats, rows)
}

// BoundDescribed is Bound with a RowDescription ahead of the rows.
func (m *Member) BoundDescribed(text []byte, oids []uint32, params []byte, formats []int16) {
	shape := m.bindText(text, oids, params, formats)
	m.Out = wire.Describe(m.Out, 'P', "")
	m.Queue.Push(Owed{Msg: 'D', Shape: shape})
	m.execute(shape, formats, 0)
}

// bindText composes Parse and Bind. shape is that of the rows, where these have to be translated.
func (m *Member) bindText(text []byte, oids []uint32, params []byte, formats []int16) (shape *Shape) {
	m.Out = wire.Parse(m.Out, "", string(text), m.OIDs(oids))
	m.Unnamed = 0
	m.Queue.Push(Owed{Msg: 'P', Reply: Quiet})
	tail := append([]byte(nil), m.Types.Bind(params, oids)...)
	tail = binary.BigEndian.AppendUint16(tail, uint16(len(formats)))
	for _, f := range formats {
		tail = binary.BigEndian.AppendUint16(tail, uint16(f))
	}
	m.Out = wire.Bind(m.Out, "", "", tail)
	m.Queue.Push(Owed{Msg: 'B', Reply: Quiet})
	if m.Types == nil || !slices.Contains(formats, 1) {
		return nil
	}
	return new(Shape)
}

// RunPrepared composes an execution of a prepared statement that the client knows as a simple query: it sees what that gives.
// tail is Bind's from the parameter formats on, table what RowDescription shows as the table of columns that are of one.
func (m *Member) RunPrepared(name string, tail []byte, returns bool, table uint32) {
	m.Out = wire.Bind(m.Out, "", name, tail)
	m.Queue.Push(Owed{Msg: 'B', Reply: Quiet, Again: true})
	if returns {
		m.Out = wire.Describe(m.Out, 'P', "")
		m.Queue.Push(Owed{Msg: 'D', Table: table, Again: true})
	}
	m.Out = wire.Execute(m.Out, "", 0)
	m.Queue.Push(Owed{Msg: 'E', Again: !returns})
	m.SyncNow()
}

func (m *Member) execute(shape *Shape, formats []int16, rows int64) {
	m.Out = wire.Execute(m.Out, "", int32(rows))
	m.Queue.Push(Owed{Msg: 'E', Shape: shape, Formats: formats})
	m.SyncNow()
}

// BoundQuiet is Bound without showing the client anything but an error.
func (m *Member) BoundQuiet(text []byte, oids []uint32, params []byte, formats []int16) {
	m.Bound(text, oids, params, formats, 0)
	n := len(m.Queue.items)
	m.Queue.items[n-2].Reply = Quiet // the Execute, ahead of the Sync
}

// OIDs translates parameter types that the client named into the member's own.
func (m *Member) OIDs(oids []uint32) []uint32 {
	if m.Types == nil {
		return oids
	}
	own := make([]uint32, len(oids))
	for i, o := range oids {
		own[i] = m.Types.ToBackend(o)
	}
	return own
}

// DropSync forgets a Sync that stands behind the Execute of a COPY FROM STDIN: the server ignores it.
func (m *Member) DropSync() bool {
	n := len(m.Queue.items)
	if n-m.Queue.head != 2 || m.Queue.items[n-1].Msg != 'S' {
		return false
	}
	m.Queue.items = m.Queue.items[:n-1]
	m.Owed--
	return true
}

// SyncNow composes a Sync whose ReadyForQuery is swallowed.
func (m *Member) SyncNow() {
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	m.Queue.Push(Owed{Msg: 'S'})
}

// Release gives back what need not be kept: called between transactions.
func (g *Gang) Release() {
	g.killStreams()
	g.giveBack()
}

// giveBack returns the connections that are in no transaction to their pools, but for pinned ones.
func (g *Gang) giveBack() {
	g.mu.Lock()
	kept := g.members[:0]
	var gone [4]*Member
	back := gone[:0]
	for _, m := range g.members {
		m.Began, m.Wrote, m.Touched, m.Holds, m.Extended = false, false, false, false, false
		if m.Pinned && m.Idle() {
			kept = append(kept, m)
			continue
		}
		back = append(back, m)
	}
	for i := len(kept); i < len(g.members); i++ {
		g.members[i] = nil
	}
	g.members = kept
	g.mu.Unlock()
	g.spread()
	for _, m := range back {
		g.put(m)
	}
}

func (g *Gang) put(m *Member) {
	c := m.Conn
	if c == g.sequences.conn {
		c.Keep(g.ID)
	}
	m.Queue.Reset()
	*m = Member{Queue: m.Queue}
	g.spare = m
	c.Put()
}

// Drop closes a member whose state is unknown.
func (g *Gang) Drop(m *Member) {
	g.killStreams()
	g.mu.Lock()
	for i, x := range g.members {
		if x == m {
			g.members = append(g.members[:i], g.members[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	g.spread()
	m.Conn.Close()
	g.put(m)
}

// Close ends everything: open transactions are rolled back by closing their connections. So are connections that may
// hold state of the session: in a pool, its advisory locks and temporary tables would outlive it until somebody else
// came for the connection.
func (g *Gang) Close() {
	g.killStreams()
	g.DiscardSequences()
	g.mu.Lock()
	all := g.members
	g.members = nil
	g.mu.Unlock()
	g.spread()
	for _, m := range all {
		if m.Unclean {
			m.Conn.Close()
		}
		g.put(m)
	}
}

// Cancel asks every server of the gang to cancel what it runs.
func (g *Gang) Cancel(ctx context.Context) {
	g.mu.Lock()
	conns := make([]*backend.Conn, 0, len(g.members))
	for _, m := range g.members {
		m.Conn.Hold()
		conns = append(conns, m.Conn)
	}
	g.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			defer c.Unhold()
			// A server that cannot be reached has nothing to cancel.
			_ = c.Cancel(ctx)
		})
	}
	wg.Wait()
}
