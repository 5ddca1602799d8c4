package proxy

import (
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// sequences is where the session's currval and lastval are. A server keeps them for each of its own sessions, so they
// are right on one connection to home alone, and only as long as no other client has had it.
type sequences struct {
	// conn is the one on which everything has run so far that may have called nextval; nil if nothing has.
	conn *backend.Conn
	// split says that there were several, or that it was discarded meanwhile: no connection has them all.
	split bool
	// inBlock says that the open transaction block has run such a statement: its connection stays to the block's end.
	inBlock bool
}

// mayCallNextval notes that m is about to run a statement which may do that. It is called before the statement marks the
// connection unclean.
func (s *Session) mayCallNextval(m *executor.Member) {
	if m.Backend != s.db.home {
		return
	}
	q := &s.planner.sequences
	switch {
	case q.conn == nil:
		q.conn = m.Conn
	case q.conn != m.Conn || !m.Unclean:
		q.split = true
	}
	q.inBlock = s.gang.Txn.State == executor.TxnExplicit
}

// sequenceState refuses currval and lastval where they would not see the session's own nextval. A session that has not
// called it gets PostgreSQL's error.
func (s *Session) sequenceState(t *router.Template) *pgerr.Error {
	q := &s.planner.sequences
	if !t.NeedsSequenceState || q.inBlock || q.conn == nil {
		return nil
	}
	if q.split {
		return currvalRefusal
	}
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		return executor.ClientError(err)
	}
	if m.Conn != q.conn || !m.Unclean {
		return currvalRefusal
	}
	return nil
}

var currvalRefusal = pgerr.New(pgerr.FeatureNotSupported, "the server connection that has this session's currval and lastval is gone").
	WithHint("Use RETURNING, or call nextval and currval in one transaction.")
