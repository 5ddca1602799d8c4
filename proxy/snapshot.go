package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// beginImplicit opens a transaction that the client has not asked for, at the session's level.
func (s *Session) beginImplicit() {
	s.gang.Begin(executor.TxnImplicit, "BEGIN")
	s.gang.Txn.Isolation = s.isolation("")
}

// overSeveral is called before a statement runs on several backends: at the levels where a transaction has one snapshot,
// it has one of all of them, which takes a transaction.
func (s *Session) overSeveral() {
	if s.gang.Txn.State == executor.TxnNone {
		switch s.isolation("") {
		case "repeatable read", "serializable":
			s.openImplicit()
		}
	}
}

// freezeGather is overSeveral for a statement whose rows are fetched before it runs. The fetch is one statement; if the
// rest reads tables too, both have to see the same.
func (s *Session) freezeGather(t *router.Template) *pgerr.Error {
	if t.Gather.Home || t.Gather.Reads {
		return s.freezeStatement(t.Command)
	}
	s.overSeveral()
	return nil
}

// freezeStatement is overSeveral for a statement that is several on the servers, or takes its snapshot late: with
// pleiad.snapshot, one outside of a transaction gets a snapshot of its own for all of it.
func (s *Session) freezeStatement(command string) *pgerr.Error {
	s.overSeveral()
	switch s.gang.Txn.Isolation {
	case "repeatable read", "serializable":
		return nil
	}
	switch {
	case !s.gang.Snapshot:
	case s.gang.Txn.State == executor.TxnNone:
		s.gang.Frozen()
	default:
		return pgerr.New(pgerr.FeatureNotSupported,
			"with pleiad.snapshot, this %s over several backends is not supported in a READ COMMITTED transaction", command).
			WithHint("Use REPEATABLE READ, or run the statement outside of a transaction.")
	}
	return nil
}
