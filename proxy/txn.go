package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// runTxn is BEGIN, COMMIT and their kin. BEGIN reaches a server only when a statement needs that server.
func (s *Session) runTxn(r *request) error {
	t := r.tmpl.Txn
	switch t.Op {
	case router.TxnBegin:
		s.txnBegin(r)
	case router.TxnCommit:
		s.txnCommit(r)
	case router.TxnRollback:
		s.txnRollback(r)
	case router.TxnSavepoint, router.TxnRelease, router.TxnRollbackTo:
		return s.txnSavepoint(r)
	default:
		s.fail(pgerr.New(pgerr.FeatureNotSupported, "%s by a client is not supported", r.tmpl.Command).
			WithHint("pleiad commits over several backends by itself; COMMIT is enough."))
	}
	return nil
}

func (s *Session) tag(tag string) { s.out.Out = wire.CommandComplete(s.out.Out, tag) }

func (s *Session) txnBegin(r *request) {
	switch s.gang.Txn.State {
	case executor.TxnExplicit:
		s.warn(pgerr.ActiveSQLTransaction, "there is already a transaction in progress")
	case executor.TxnImplicit:
		s.gang.Explicit()
		if r.tmpl.Txn.Isolation != "" || r.tmpl.Txn.ReadOnly != 0 {
			s.gang.Txn.Rebegin(string(r.text))
			s.gang.Txn.Isolation = s.isolation(r.tmpl.Txn.Isolation)
			s.gang.Txn.ReadOnly = s.readOnly(r.tmpl.Txn.ReadOnly)
		}
	default:
		s.gang.Begin(executor.TxnExplicit, string(r.text))
		s.gang.Txn.Isolation = s.isolation(r.tmpl.Txn.Isolation)
		s.gang.Txn.ReadOnly = s.readOnly(r.tmpl.Txn.ReadOnly)
	}
	s.tag(r.tmpl.Command)
}

// isolation is the level of a transaction whose BEGIN says said: that, or the session's default.
func (s *Session) isolation(said string) string {
	if said != "" {
		return said
	}
	if v, ok := s.gang.Settings.Get("default_transaction_isolation"); ok {
		return lower(unquoteSetting(v))
	}
	return s.defaultIsolation
}

// readOnly tells whether a transaction whose BEGIN says said writes nothing: that, or the session's default.
func (s *Session) readOnly(said int8) bool {
	if said != 0 {
		return said > 0
	}
	v, ok := s.gang.Settings.Get("default_transaction_read_only")
	return ok && isOn(unquoteSetting(v))
}

func (s *Session) txnCommit(r *request) {
	if r.tmpl.Txn.Chain && s.gang.Txn.State != executor.TxnExplicit {
		s.fail(pgerr.New(pgerr.NoActiveSQLTransaction, "COMMIT AND CHAIN can only be used in transaction blocks"))
		return
	}
	switch s.gang.Txn.State {
	case executor.TxnNone:
		s.warn(pgerr.NoActiveSQLTransaction, "there is no transaction in progress")
		s.tag("COMMIT")
		return
	case executor.TxnImplicit:
		s.warn(pgerr.NoActiveSQLTransaction, "there is no transaction in progress")
	}
	chain := s.chain(r)
	if s.gang.Txn.Failed {
		s.gang.Rollback(s.out, s)
		s.afterRollback()
		s.tag("ROLLBACK")
		chain()
		return
	}
	if e := s.commit(); e != nil {
		s.out.Out = append(s.out.Out, e...)
		s.batch.failed = true
		return
	}
	s.tag("COMMIT")
	chain()
}

func (s *Session) txnRollback(r *request) {
	if r.tmpl.Txn.Chain && s.gang.Txn.State != executor.TxnExplicit {
		s.fail(pgerr.New(pgerr.NoActiveSQLTransaction, "ROLLBACK AND CHAIN can only be used in transaction blocks"))
		return
	}
	switch s.gang.Txn.State {
	case executor.TxnNone:
		s.warn(pgerr.NoActiveSQLTransaction, "there is no transaction in progress")
		s.tag("ROLLBACK")
		return
	case executor.TxnImplicit:
		s.warn(pgerr.NoActiveSQLTransaction, "there is no transaction in progress")
	}
	chain := s.chain(r)
	s.gang.Rollback(s.out, s)
	s.afterRollback()
	s.tag("ROLLBACK")
	chain()
}

// chain prepares AND CHAIN: the next transaction opens with the characteristics of this one. What BEGIN and
// SET TRANSACTION say is a setting of the transaction to PostgreSQL, and gone once that has failed; what AND CHAIN brought is not.
func (s *Session) chain(r *request) func() {
	if !r.tmpl.Txn.Chain {
		return func() {}
	}
	sql, isolation, readOnly := s.gang.Txn.BeginSQL(), s.gang.Txn.Isolation, s.gang.Txn.ReadOnly
	failed := s.gang.Txn.Failed && !s.gang.Txn.Chained
	return func() {
		s.release()
		s.gang.Pass.Begin()
		if failed {
			sql, isolation, readOnly = "BEGIN", s.isolation(""), s.readOnly(0)
		}
		s.gang.Begin(executor.TxnExplicit, sql)
		s.gang.Txn.Isolation, s.gang.Txn.ReadOnly, s.gang.Txn.Chained = isolation, readOnly, true
	}
}

// afterCommit does what a committed transaction leaves to do in the session.
func (s *Session) afterCommit() {
	s.endCursors(true)
	s.endOwn(true)
	s.planner.endTransaction(s, true)
	s.settleListening(true)
}

// afterRollback is its counterpart.
func (s *Session) afterRollback() {
	s.endCursors(false)
	s.endOwn(false)
	s.planner.endTransaction(s, false)
	s.settleListening(false)
}

func (s *Session) txnSavepoint(r *request) error {
	t := r.tmpl.Txn
	if s.gang.Txn.State != executor.TxnExplicit && !r.inside {
		word := map[router.TxnOp]string{
			router.TxnSavepoint: "SAVEPOINT", router.TxnRelease: "RELEASE SAVEPOINT",
			router.TxnRollbackTo: "ROLLBACK TO SAVEPOINT",
		}[t.Op]
		s.fail(pgerr.New(pgerr.NoActiveSQLTransaction, "%s can only be used in transaction blocks", word))
		return nil
	}
	if t.Op != router.TxnSavepoint && !s.gang.Txn.HasSavepoint(t.Name) {
		s.fail(pgerr.New(pgerr.InvalidSavepoint, "savepoint %q does not exist", t.Name))
		return nil
	}
	for _, m := range s.gang.Members() {
		if !m.Began {
			continue
		}
		m.Finishing(string(r.text))
		if err := m.Send(); err != nil {
			return s.lost(err)
		}
	}
	for _, m := range s.gang.Members() {
		if m.Began && m.Queue.Len() > 0 {
			if err := s.relay(m); err != nil || s.batch.failed {
				return err
			}
		}
	}
	switch t.Op {
	case router.TxnSavepoint:
		s.gang.NoteSavepoint(t.Name, string(r.text))
		s.savepointOwn(t.Name)
		s.savepointCursors(t.Name)
	case router.TxnRelease:
		s.gang.Txn.NoteRelease(t.Name)
		s.releaseOwn(t.Name)
		s.releaseCursors(t.Name)
	case router.TxnRollbackTo:
		s.gang.NoteRollbackTo(t.Name)
		s.rollbackToOwn(t.Name)
		s.rollbackToCursors(t.Name)
		s.planner.stale()
		s.planner.rolledBack()
	}
	s.tag(r.tmpl.Command)
	return nil
}
