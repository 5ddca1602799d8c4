package executor

import (
	"strings"
	"time"

	"github.com/pleiad/pleiad/internal/backend"
)

// TxnState is where a session stands.
//
//	None ──BEGIN──────────────▶ Explicit ──COMMIT/ROLLBACK──▶ None
//	None ──several statements─▶ Implicit ──end of message───▶ None
//	Implicit ──BEGIN──────────▶ Explicit
type TxnState uint8

// The transaction states.
const (
	TxnNone     TxnState = iota // every statement commits by itself
	TxnImplicit                 // pleiad opened a transaction the client did not ask for
	TxnExplicit                 // the client said BEGIN
)

// Txn is a session's transaction. Backends join it when a statement needs them (Gang.Join) and are then brought
// to the same point by opening.
type Txn struct {
	State TxnState
	// Failed is true after an error: only ROLLBACK and its kin are accepted until the end.
	Failed bool
	// Isolation is the level in force, lower case; "" is read committed.
	Isolation string
	// ReadOnly is true if the client has said that the transaction writes nothing.
	ReadOnly bool
	// Chained is true if AND CHAIN began it.
	Chained bool
	// Sync is true once something was written that has to wait for standbys.
	Sync bool
	// ReadLocked is true once a sharded table has been locked as pg_dump does.
	ReadLocked bool
	// frozen is true once a REPEATABLE READ transaction has its snapshots: no backend can join it any more.
	frozen bool
	// late is true if a statement had run before the transaction was opened around it.
	late bool
	// unlocked is true once what the transaction's failure undoes is undone on every backend.
	unlocked bool
	// gone is true once a failed transaction is rolled back on every backend, and the client has not heard of it.
	gone bool

	// anchor is the backend whose now() is the transaction's. Time is that now(), once asked for, in a form of the
	// asker's.
	anchor   int
	anchored bool
	Time     string

	beginSQL string
	base     *backend.Settings // in force before the transaction
	journal  []entry
}

// entry is one statement that a backend joining late has to see too.
type entry struct {
	savepoint string // name of a savepoint, "" for a setting
	sql       string
	settings  *backend.Settings // the session's at the savepoint
	mode      bool              // SET TRANSACTION READ ONLY: goes with its savepoint, however that ends
}

// Begin opens a transaction; sql is the BEGIN that each joining backend is sent.
func (g *Gang) Begin(state TxnState, sql string) {
	g.Began.Store(time.Now().UnixNano())
	g.Txn = Txn{State: state, beginSQL: sql, base: g.Settings, journal: g.Txn.journal[:0]}
}

// Explicit turns an implicit transaction into the client's own: BEGIN came in the middle of a message.
func (g *Gang) Explicit() { g.Txn.State = TxnExplicit }

// open tells whether a backend that joins has to begin a transaction.
func (t *Txn) open() bool { return t.State != TxnNone && !t.gone }

// Late says that the transaction was opened behind a statement that has run: its snapshot was taken on that backend alone.
func (t *Txn) Late() { t.late = true }

// opening is the statement list that brings a backend to where the transaction is.
func (t *Txn) opening() string {
	if len(t.journal) == 0 {
		return t.beginSQL
	}
	var b strings.Builder
	b.WriteString(t.beginSQL)
	for _, e := range t.journal {
		// A newline ends a comment that the client's own text may end with.
		b.WriteString("\n;")
		b.WriteString(e.sql)
	}
	return b.String()
}

// BeginSQL is the BEGIN that opened the transaction.
func (t *Txn) BeginSQL() string { return t.beginSQL }

// Rebegin replaces the BEGIN for backends that join from now on.
func (t *Txn) Rebegin(sql string) { t.beginSQL = sql }

// HasSettings tells whether SET ran in the transaction.
func (t *Txn) HasSettings() bool {
	for _, e := range t.journal {
		if e.savepoint == "" {
			return true
		}
	}
	return false
}

// NoteSetting records a SET that ran inside the transaction.
func (t *Txn) NoteSetting(sql string) { t.journal = append(t.journal, entry{sql: sql}) }

// NoteMode records a SET TRANSACTION.
func (t *Txn) NoteMode(sql string) { t.journal = append(t.journal, entry{sql: sql, mode: true}) }

// NoteSavepoint records SAVEPOINT name.
func (g *Gang) NoteSavepoint(name, sql string) {
	g.Txn.journal = append(g.Txn.journal, entry{savepoint: name, sql: sql, settings: g.Settings})
}

// HasSavepoint tells whether the transaction has a savepoint of that name.
func (t *Txn) HasSavepoint(name string) bool { return t.savepoint(name) >= 0 }

// Savepoints counts the savepoints.
func (t *Txn) Savepoints() int {
	n := 0
	for _, e := range t.journal {
		if e.savepoint != "" {
			n++
		}
	}
	return n
}

func (t *Txn) savepoint(name string) int {
	for i := len(t.journal) - 1; i >= 0; i-- {
		if t.journal[i].savepoint == name {
			return i
		}
	}
	return -1
}

// lastSavepoint is the name of the innermost savepoint.
func (t *Txn) lastSavepoint() (name string, ok bool) {
	for i := len(t.journal) - 1; i >= 0; i-- {
		if t.journal[i].savepoint != "" {
			return t.journal[i].savepoint, true
		}
	}
	return "", false
}

// NoteRelease forgets a savepoint and those set after it; what was SET since stays, but for the transaction's own mode
// (CommitSubTransaction in xact.c).
func (t *Txn) NoteRelease(name string) {
	at := t.savepoint(name)
	if at < 0 {
		return
	}
	kept := t.journal[:at]
	for _, e := range t.journal[at:] {
		if e.savepoint == "" && !e.mode {
			kept = append(kept, e)
		}
	}
	t.journal = kept
}

// NoteRollbackTo goes back to a savepoint, which stays, in the journal and in the settings.
func (g *Gang) NoteRollbackTo(name string) {
	at := g.Txn.savepoint(name)
	if at < 0 {
		return
	}
	g.Settings = g.Txn.journal[at].settings
	g.Txn.journal = g.Txn.journal[:at+1]
	g.Txn.Failed, g.Txn.unlocked = false, false
}

// finish ends the transaction in the books; the connections that took part are between transactions.
func (g *Gang) finish(committed bool) {
	if !committed && g.Txn.State != TxnNone {
		g.Settings = g.Txn.base
	}
	for _, m := range g.members {
		if m.Began && committed {
			m.Conn.Settings = g.Settings.ID
		}
		if m.odd {
			m.odd, m.Conn.Settings = false, unknownSettings
		}
		m.Began, m.Wrote, m.Touched, m.Holds = false, false, false, false
	}
	g.Began.Store(0)
	g.Txn = Txn{journal: g.Txn.journal[:0]}
}

// Anchor is the backend whose time is the transaction's: the first that has begun it. ok is false while none has.
func (t *Txn) Anchor() (backend int, ok bool) { return t.anchor, t.anchored }

// MarkBegun notes that m has begun the transaction.
func (g *Gang) MarkBegun(m *Member) {
	m.Began = true
	if !g.Txn.anchored {
		g.Txn.anchored, g.Txn.anchor = true, m.Backend
	}
}
