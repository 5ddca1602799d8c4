package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// The function call protocol names a function by its oid, which is home's, and home runs it: its large objects above all.
// What a SELECT of such a call would mean decides whether it may.

// functionCall is a FunctionCall message as far as pleiad looks at it.
type functionCall struct {
	function uint32
	// untyped is true if an argument may come in text format.
	untyped bool
}

// readFunctionCall reads a message; what is wrong with one is home's to say, as the function itself may be.
func readFunctionCall(body []byte) (c functionCall) {
	b := wire.Of(body)
	c.function = uint32(b.Int32())
	n := b.Uint16()
	c.untyped = n == 0
	for range n {
		if b.Err() != nil {
			break
		}
		c.untyped = c.untyped || b.Int16() == 0
	}
	return c
}

// calledFunction is what is known of a function: the plan of its call, valid for scope.
type calledFunction struct {
	tmpl  *router.Template // nil where the call is home's to refuse
	times bool             // an argument is a date or time, or may hold one
	scope uint64
}

// maxCalledFunctions bounds those that a session remembers.
const maxCalledFunctions = 64

var refuseFunctionCall = pgerr.New(pgerr.FeatureNotSupported, "the function call protocol cannot call this function").
	WithHint("Call it with SELECT.")

// onFunctionCall runs one function on home.
func (s *Session) onFunctionCall(frame []byte) error {
	if err := s.closeBatch(); err != nil || s.skip {
		return err
	}
	s.beginWork()
	if err := s.callFunction(frame); err != nil {
		return err
	}
	if s.gang.Txn.State == executor.TxnImplicit {
		s.endImplicit()
	}
	s.batch.failed = false
	return s.ready()
}

func (s *Session) callFunction(frame []byte) error {
	if s.gang.Txn.Failed {
		s.fail(errFailedTransaction)
		return nil
	}
	call := readFunctionCall(frame[wire.HeaderLen:])
	f, failed, err := s.functionOf(call.function)
	if failed || err != nil {
		return err
	}
	t := f.tmpl
	if t == nil {
		t = &router.Template{Kind: router.KindHome}
	}
	if e := s.mayCall(t, f.times && call.untyped); e != nil {
		s.fail(e)
		return nil
	}
	s.beginSync(t)
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(t, m)
	m.FunctionCall(frame)
	return s.relay(m)
}

// mayCall is why home may not run a call with this plan. It has the transaction's time if it began there.
func (s *Session) mayCall(t *router.Template, words bool) *pgerr.Error {
	switch {
	case t.Kind == router.KindRefuse && t.Refusal != nil:
		return t.Refusal
	case t.Kind != router.KindHome && t.Kind != router.KindAny || len(t.SetConfig) > 0:
		return refuseFunctionCall
	}
	if anchor, ok := s.gang.Txn.Anchor(); ok && anchor != s.db.home && (t.Clock != nil || words) {
		return refuseHiddenClock
	}
	if t.NeedsSequenceState {
		return s.gang.ReadsSequences()
	}
	return nil
}

// functionOf plans the call of a function.
func (s *Session) functionOf(oid uint32) (f calledFunction, failed bool, err error) {
	scope := s.planner.current(s)
	if e := s.planner.unknown; e != nil {
		s.fail(e)
		return f, true, nil
	}
	if f, ok := s.called[oid]; ok && f.scope == scope {
		return f, false, nil
	}
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return f, true, nil
	}
	rows, failure, err := m.Ask(functionSQL + strconv.FormatUint(uint64(oid), 10))
	if err != nil || failure != nil {
		return f, true, s.answerFailure(failure, err)
	}
	f = calledFunction{scope: scope}
	if len(rows) == 1 {
		text := string(rows[0][0])
		f.tmpl = router.Plan(text, s.planner.env)
		if f.tmpl.Unknown && s.planner.private == nil && s.db.refreshIfNewer(s.ctx) {
			f.scope = s.planner.current(s)
			f.tmpl = router.Plan(text, s.planner.env)
		}
		f.times = string(rows[0][1]) == "t"
	}
	if f.tmpl == nil || s.planner.private != nil {
		return f, false, nil // there may be one of that oid by the next time
	}
	if s.called == nil || len(s.called) >= maxCalledFunctions {
		s.called = map[uint32]calledFunction{}
	}
	s.called[oid] = f
	return f, false, nil
}

// functionSQL gives, for an oid behind it, a SELECT that calls the function, and whether a word like 'now' may be among its
// arguments; no row where there is none that the protocol can call. The types that take no such word are boolean, bytea, "char",
// name, the numbers, text, oid, json, the other strings, uuid and jsonb.
const functionSQL = "SELECT pg_catalog.concat('SELECT ', pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(p.proname), '('," +
	" pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.concat('NULL::', pg_catalog.format_type(u.t, NULL))" +
	" FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY u (t, i) ORDER BY u.i), ', '), ')')," +
	" EXISTS (SELECT FROM pg_catalog.unnest(p.proargtypes) u (t) WHERE u.t OPERATOR(pg_catalog.<>)" +
	" ALL ('{16,17,18,19,20,21,23,25,26,114,700,701,1042,1043,1700,2950,3802}'::pg_catalog.oid[]))" +
	" FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace" +
	" WHERE p.prokind OPERATOR(pg_catalog.=) 'f' AND NOT p.proretset AND p.oid OPERATOR(pg_catalog.=) "
