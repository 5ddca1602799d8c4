package executor

import (
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// sequences is where the session's currval and lastval are. A server keeps them for each of its own sessions, so they
// are right on one connection to home alone, and only until another client has it.
type sequences struct {
	// conn is the connection with what has been advanced since the last loss; nil if nothing has. Its pool keeps it for
	// this session as long as it can.
	conn *backend.Conn
	// lost says that a connection with such values is gone: what conn does not know may have been there.
	lost bool
	// asked says that the session has used currval or lastval: its connection stays with it from then on.
	asked bool
	// stale says that conn has values older than the session's last, and could not be rid of them.
	stale bool
}

// MayAdvance notes that m is about to run a statement that may call nextval or setval.
func (g *Gang) MayAdvance(m *Member) {
	if m.Backend != g.Servers.Home() {
		return
	}
	q := &g.sequences
	if q.conn != m.Conn {
		g.loseSequences()
		q.conn = m.Conn
	}
	m.Pinned = m.Pinned || q.asked
}

// ReadsSequences notes that the session asks for currval or lastval, and says why it cannot be told.
func (g *Gang) ReadsSequences() *pgerr.Error {
	q := &g.sequences
	if q.stale {
		return errSequencesLost
	}
	q.asked = true
	if m := g.Member(g.Servers.Home()); m != nil && m.Conn == q.conn {
		m.Pinned = true
	}
	return nil
}

// AdvancedElsewhere notes that the session has advanced sequences on a connection that it gives away.
func (g *Gang) AdvancedElsewhere() error {
	q := &g.sequences
	c := q.conn
	q.lost = true
	if c == nil {
		return nil
	}
	m := g.Member(c.Backend)
	switch {
	case m == nil || m.Conn != c:
		if c.Regain(g.ID) {
			c.Owner = 0 // discarded, should it come back
			c.Put()
		}
	case g.Txn.Failed || m.Queue.Len() > 0:
		q.stale = true
		return nil
	default:
		m.Internal("DISCARD SEQUENCES")
		if err := Settle(m); err != nil {
			return err
		}
	}
	g.loseSequences()
	return nil
}

// DiscardSequences notes that the session has discarded the values of its connection to home; anywhere else they are
// discarded before they could be seen.
func (g *Gang) DiscardSequences() {
	q := &g.sequences
	if q.conn != nil {
		q.conn.Unkeep(g.ID)
	}
	*q = sequences{}
}

// loseSequences notes that the connection with the session's values is not its own any more.
func (g *Gang) loseSequences() {
	q := &g.sequences
	if q.conn != nil {
		q.conn.Unkeep(g.ID)
		q.conn, q.lost = nil, true
	}
}

// regain lends the connection to a backend that has the session's sequence values, if it is that backend's.
func (g *Gang) regain(b int) *backend.Conn {
	c := g.sequences.conn
	if c == nil || c.Backend != b {
		return nil
	}
	if !c.Regain(g.ID) {
		g.loseSequences()
		return nil
	}
	return c
}

var errSequencesLost = pgerr.New(pgerr.FeatureNotSupported, "the server connection that had this session's currval and lastval is gone").
	WithHint("Use RETURNING, call nextval and currval in one transaction, or raise pool.size.")

// undefined replaces the error of a currval or lastval without a value where a lost connection may have had one. R is the
// function of sequence.c that raised it.
func (g *Gang) undefined(frame []byte) []byte {
	if g.sequences.lost && wire.ErrorField(frame, 'C') == pgerr.ObjectNotInPrerequisiteState {
		if r := wire.ErrorField(frame, 'R'); r == "currval_oid" || r == "lastval" {
			return wire.Error(nil, errSequencesLost)
		}
	}
	return frame
}
