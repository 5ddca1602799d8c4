package proxy

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// request is one statement to run, from either protocol.
type request struct {
	text []byte
	// before is what stands ahead of text in the client's message: error positions count from there.
	before []byte
	// message is the client's whole message; nil where text is.
	message []byte
	// own is the client's text where text is a rewritten one.
	own []byte
	// table is home's oid of the table whose shard text names; 0 where it names the table.
	table uint32
	// instant is the time that the statement reads where it is not the backend's own; its text has it as constants then.
	instant *router.Instant
	tmpl    *router.Template
	points  *points       // of tmpl's plan; nil in the extended protocol
	lits    []router.Span // where the literals of text are
	kinds   literals

	// Extended protocol.
	oids    []uint32         // parameter types from Parse, home's
	bind    []byte           // Bind's body from the parameter formats to the last value
	params  []shardmap.Value // the same, decoded
	formats []int16          // result formats
	maxRows int64
	portal  *portal

	// take, when set, gets the statement that ends a plan over several backends, and runs it by itself.
	take func(run *executor.Scatter) error

	composed bool // text is pleiad's: a position in it is none in the client's

	inside bool // of code that runs statement by statement: there may be no transaction block

	// describe is true if a RowDescription is owed (simple protocol).
	describe bool
}

// whole is the client's message.
func (r *request) whole() []byte {
	if r.message != nil {
		return r.message
	}
	return r.text
}

// position translates a position in text into one in the client's message.
func (r *request) position() func(int) int {
	return func(p int) int {
		if r.own != nil {
			p = mapPosition(string(r.own), string(r.text), p)
		}
		return utf8.RuneCount(r.before) + p
	}
}

// onlyNamed is the request with those parameters alone that its text names: texts that are made of it count their own from
// there. A client may have declared more, and a statement that is a part of another has them all.
func (r *request) onlyNamed() *request {
	n := r.tmpl.NParams
	if len(r.params) <= n && len(r.oids) <= n {
		return r
	}
	only := *r
	only.oids, only.params = r.oids[:min(n, len(r.oids)):min(n, len(r.oids))], r.params[:min(n, len(r.params))]
	if r.bind != nil {
		only.bind = executor.FirstParams(r.bind, n)
	}
	return &only
}

// run executes a statement, wherever it belongs, and writes its answer without ReadyForQuery. An error of the
// statement's is written and noted (Session.failed); the returned error ends the session.
func (s *Session) run(r *request) error {
	t := r.tmpl
	s.executes(t)
	if s.gang.Txn.Failed && !endsFailure(t) {
		s.fail(errFailedTransaction)
		return nil
	}
	if r.instant == nil && s.readsTime(r) {
		fixed, err := s.atOneInstant(r)
		if fixed == nil || err != nil {
			return err
		}
		r, t = fixed, fixed.tmpl
	}
	if t.NeedsSequenceState {
		if e := s.gang.ReadsSequences(); e != nil {
			s.fail(e)
			return nil
		}
	}
	s.beginSync(t)
	switch t.Kind {
	case router.KindHome:
		return s.runHome(r)
	case router.KindAny:
		return s.forward(r, s.anyBackend())
	case router.KindShards:
		return s.runSharded(r)
	case router.KindInsert:
		return s.runInsert(r)
	case router.KindInsertQuery:
		return s.runInsertQuery(r.onlyNamed())
	case router.KindPrelude:
		return s.runPrelude(r.onlyNamed())
	case router.KindInlined, router.KindRoutine:
		return s.runCalls(r)
	case router.KindSessionViews:
		return s.runSessionViews(r)
	case router.KindCopyRows:
		return s.runCopyRows(r.onlyNamed())
	case router.KindEverywhere:
		return s.runEverywhere(r)
	case router.KindCopyIn:
		return s.runCopyIn(r)
	case router.KindCopyOut:
		return s.runCopyOut(r)
	case router.KindDDL:
		return s.runDDL(r)
	case router.KindTxn:
		return s.runTxn(r)
	case router.KindSet:
		return s.runSet(r)
	case router.KindShow:
		return s.runShow(r)
	case router.KindDiscard:
		return s.runDiscard(r)
	case router.KindPrepare, router.KindExecute, router.KindDeallocate:
		return s.runPrepared(r)
	case router.KindListen, router.KindUnlisten, router.KindNotify:
		return s.runListen(r)
	case router.KindCursor:
		return s.runCursor(r)
	case router.KindExplain:
		return s.runExplain(r)
	case router.KindSyntax:
		return s.runRejected(r)
	case router.KindEmpty:
		s.out.Out = append(s.out.Out, 'I', 0, 0, 0, 4)
		return nil
	case router.KindRefuse:
		return s.refuse(r, t.Refusal)
	default:
		s.fail(pgerr.New(pgerr.InternalError, "statement has no plan (kind %d)", t.Kind))
		return nil
	}
}

var errFailedTransaction = pgerr.New(pgerr.InFailedSQLTransaction,
	"current transaction is aborted, commands ignored until end of transaction block")

// endsFailure tells the statements that an aborted transaction still accepts.
func endsFailure(t *router.Template) bool {
	if t.Kind == router.KindSyntax && t.Refusal == nil || t.Kind == router.KindEmpty {
		return true
	}
	if t.Kind != router.KindTxn {
		return false
	}
	switch t.Txn.Op {
	case router.TxnCommit, router.TxnRollback, router.TxnRollbackTo, router.TxnPrepare:
		return true
	}
	return false
}

// anyBackend picks a backend for a statement that every backend answers alike: one that is in the transaction
// already, else home.
func (s *Session) anyBackend() int {
	if s.gang.Txn.State != executor.TxnNone {
		for _, m := range s.gang.Members() {
			if m.Began {
				return m.Backend
			}
		}
	}
	return s.db.home
}

// forward runs the statement's text unchanged on one backend and passes the answer on.
func (s *Session) forward(r *request, b int) error {
	if r.describe && r.bind != nil {
		return s.forwardBound(r, []int{b})
	}
	m, err := s.join(r.tmpl, b)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(r.tmpl, m)
	s.compose(m, r)
	m.Shift = utf8.RuneCount(r.before)
	switch {
	case r.table != 0:
		m.Position = s.named.position
	case r.composed:
		m.Position = func(int) int { return 0 }
	case r.own != nil:
		own, text := string(r.own), string(r.text)
		m.Position = func(p int) int { return mapPosition(own, text, p) }
	}
	err = s.relay(m)
	m.Shift, m.Position = 0, nil
	return err
}

// forwardBound runs a statement with parameters that the client, who uses the simple protocol, did not give. Of several
// backends the first one's answer is the client's.
func (s *Session) forwardBound(r *request, list []int) error {
	run := &executor.Scatter{
		Gang: &s.gang, Texts: []string{string(r.text)}, OIDs: r.oids, Params: r.bind, Formats: r.formats, Limit: -1,
		Describe: true, Command: r.tmpl.Command, Collations: s.db.collations(),
	}
	for _, b := range list {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(run.Members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		run.Members = append(run.Members, m)
	}
	run.Position = s.positions(r, run)
	return s.finishCopies(r, run)
}

// effect notes what the statement may do to the connection and to the transaction.
func (s *Session) effect(t *router.Template, m *executor.Member) {
	if t.Writes {
		m.Wrote = true
	}
	if t.Kind != router.KindShow {
		m.Touched = true
	}
	s.noteUse(m)
	switch t.Effect {
	case router.EffectUnclean:
		s.gang.MayAdvance(m)
		m.Unclean = true
		s.planner.tempStale = s.planner.tempStale || s.planner.tempAge > 0 // DROP and ALTER
	case router.EffectPins:
		s.gang.MayAdvance(m)
		m.Unclean = true
		m.Pinned = true
		s.planner.tempStale = true
	}
}

// relay passes on the answers m owes, and notes an error among them.
func (s *Session) relay(m *executor.Member) error {
	o, err := executor.Relay(m, s.out, s)
	return s.relayed(m, &o, err)
}

// relayed notes what a relay saw.
func (s *Session) relayed(m *executor.Member, o *executor.Outcome, err error) error {
	if err != nil {
		return s.lost(err)
	}
	if o.Failed && s.batch.open {
		s.undo(o.Dropped)
	}
	switch {
	case o.Failed:
		s.failed()
	case o.Skipped != nil:
		if !m.Pinned { // what a session keeps on a server outlives its errors
			m.Unclean, m.Owner = true, 0
		}
		s.failFrame(o.Skipped)
	}
	return nil
}

// lost turns a broken server connection into an error of the statement. A broken client ends the session.
func (s *Session) lost(err error) error {
	if s.out.Err() != nil || !errors.Is(err, backend.ErrLost) {
		return err
	}
	s.fail(executor.ClientError(err))
	return nil
}

// runSharded runs a statement that touches sharded tables.
func (s *Session) runSharded(r *request) error {
	set, err := s.route(r)
	if errors.Is(err, shardmap.ErrNotProvable) && r.tmpl.Insert != nil {
		return s.runInsert(r)
	}
	if err != nil {
		return s.refuse(r, executor.ClientError(err))
	}
	if c := r.tmpl.Clock; r.instant != nil && c != nil && c.Defaults {
		switch {
		case r.tmpl.InsertQuery != nil:
			return s.runInsertQuery(r.onlyNamed()) // its query evaluates the defaults
		case r.tmpl.Prelude != nil:
			return s.runPrelude(r.onlyNamed()) // its last part is such a statement
		}
	}
	if b, one := set.single(); one {
		if done, err := s.runPoint(r, b); done {
			return err
		}
		s.nameShard(r)
		return s.forward(r, b)
	}
	r = r.onlyNamed()
	switch {
	case r.tmpl.Scatter != nil:
		return s.runScatter(r, set)
	case r.tmpl.Gather != nil:
		return s.runGather(r, set)
	case r.tmpl.InsertQuery != nil:
		return s.runInsertQuery(r)
	case r.tmpl.Prelude != nil:
		return s.runPrelude(r)
	case r.tmpl.LockRows != nil:
		return s.runLockRows(r)
	case r.tmpl.LockJoin != nil:
		return s.runLockJoin(r)
	case r.tmpl.LockPick != nil:
		return s.runLockPick(r)
	}
	return s.refuse(r, refusal(r.tmpl))
}

// refuse answers a statement that pleiad does not run. What PostgreSQL would not run either is said in its own words.
func (s *Session) refuse(r *request, e *pgerr.Error) error {
	if e.Code == pgerr.FeatureNotSupported || e.Code == pgerr.UndefinedTable {
		m, err := s.gang.Join(s.ctx, s.db.home)
		if err != nil {
			s.fail(e)
			return nil
		}
		_, failure, err := m.DescribeText(string(r.text), r.oids)
		if err != nil {
			return s.lost(err)
		}
		if failure != nil {
			return s.combineFailed(failure, nil, r.position())
		}
	}
	s.fail(e)
	return nil
}

// refusal is why a statement may not run over several backends.
func refusal(t *router.Template) *pgerr.Error {
	if t.NoScatter != nil {
		return t.NoScatter
	}
	return pgerr.New(pgerr.FeatureNotSupported, "this %s is not supported over several backends", t.Command).
		WithHint("Restrict every sharded table to one value of its partition key.")
}

// runScatter runs the statement on several backends and merges.
func (s *Session) runScatter(r *request, set backends) error {
	s.overSeveral()
	sc := r.tmpl.Scatter
	if sc.Combine != nil {
		return s.runCombine(r, set)
	}
	if sc.Modifies {
		s.openImplicit()
	}
	run := &executor.Scatter{
		Gang: &s.gang, OIDs: r.oids, Params: r.bind, Formats: r.formats, Sort: sc.Sort,
		Limit: -1, Describe: r.describe, Command: r.tmpl.Command, Collations: s.db.collations(), Replan: len(sc.Sort) > 0,
	}
	text, err := s.scatterText(r, run)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	run.Texts = []string{text}
	run.Position = s.positions(r, run)
	for _, b := range set.list() {
		m, err := s.join(r.tmpl, b)
		if err != nil {
			s.unjoin(run.Members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		run.Members = append(run.Members, m)
	}
	kept := s.kept(r, text, r.oids)
	run.Statement = kept.id()
	if len(sc.Sort) > 0 {
		if kept != nil {
			run.Known = kept.sort
		}
		if err := run.Learn(); err != nil {
			return s.unmergeable(r, set, run, err)
		}
		if kept != nil {
			kept.sort = run.Learned()
		}
	}
	return s.finishScatter(r, run)
}

// unmergeable runs a query on one backend whose rows the proxy cannot order.
func (s *Session) unmergeable(r *request, set backends, run *executor.Scatter, why error) error {
	s.unjoin(run.Members)
	e := executor.ClientError(why)
	if e.Code == pgerr.FeatureNotSupported {
		if t := router.PlanGather(string(r.text), s.planner.env); t.Kind == router.KindShards && t.Gather != nil {
			next := *r
			next.tmpl = t
			return s.runGather(&next, set)
		}
	}
	s.fail(e)
	return nil
}

// positions translates error positions from a scatter's texts into the client's message.
func (s *Session) positions(r *request, run *executor.Scatter) func(member, position int) int {
	own, before := string(r.client()), utf8.RuneCount(r.before)
	return func(member, position int) int {
		text := run.Texts[min(member, len(run.Texts)-1)]
		return before + mapPosition(own, text, position)
	}
}

// finishScatter runs a prepared scatter to its end, or, for a portal with a row limit, to the limit.
func (s *Session) finishScatter(r *request, run *executor.Scatter) error {
	if r.take != nil {
		run.Replan = false // the taker reads the rows of this one
		return r.take(run)
	}
	var unsorted *executor.Unsorted
	if r.portal != nil && r.maxRows > 0 && r.tmpl.Returns {
		r.portal.scatter = run
		if err := run.Open(s.ctx); err != nil {
			run.Close(s.ctx)
			if e := executor.ClientError(err); run.Replan && e.Code == pgerr.FeatureNotSupported {
				return s.runUnmerged(r, run, e)
			}
			s.fail(executor.ClientError(err))
			return nil
		}
		err := s.fetchScatter(r.portal, r.maxRows)
		if errors.As(err, &unsorted) {
			return s.runUnmerged(r, run, unsorted.Err)
		}
		return err
	}
	failed, err := run.Run(s.ctx, s.out, s)
	if errors.As(err, &unsorted) {
		return s.runUnmerged(r, run, unsorted.Err)
	}
	if err != nil {
		return err
	}
	if failed {
		s.failed()
	}
	return nil
}

// runUnmerged plans a statement anew whose rows cannot be merged here: PostgreSQL sorts them.
func (s *Session) runUnmerged(r *request, run *executor.Scatter, why *pgerr.Error) error {
	env := s.planner.env
	env.NoMerge = true
	other := *r
	other.tmpl = router.Plan(string(r.text), env)
	other.describe = r.describe && run.Describe // shown already where rows had begun to come
	if r.portal != nil {
		r.portal.scatter = nil
	}
	t := other.tmpl
	if t.Kind != router.KindShards || t.Command != r.tmpl.Command || t.Scatter == nil && t.Gather == nil {
		s.fail(why)
		return nil
	}
	return s.runSharded(&other)
}

// fetchScatter gives more rows of a suspended portal.
func (s *Session) fetchScatter(p *portal, rows int64) error {
	more, err := p.scatter.Fetch(s.ctx, rows, s.out, s)
	if err != nil {
		return err
	}
	if !more {
		if p.scatter.Failed() {
			s.failed()
		}
		p.scatter = nil
		p.done = true
	}
	return nil
}

// unjoin settles connections that were about to be used: what was composed for them is sent, so that they are
// in a known state.
func (s *Session) unjoin(members []*executor.Member) {
	for _, m := range members {
		if err := executor.Settle(m); err != nil {
			m.Unclean = true
			m.Owner = 0
		}
	}
}

// openImplicit makes sure that a transaction is open around a statement that several backends take part in.
func (s *Session) openImplicit() {
	if s.gang.Txn.State == executor.TxnNone {
		s.beginImplicit()
	}
}

// openPipeline makes sure of a transaction around what a session keeps behind it, where more than Sync may follow in the pipeline: an
// error there takes it back.
func (s *Session) openPipeline() {
	if !s.batch.open || s.in.Buffered() >= wire.HeaderLen && s.nextIsSync() {
		return
	}
	s.openImplicit()
}

// nextIsSync looks at the message that has come in already.
func (s *Session) nextIsSync() bool {
	typ, _, err := s.in.Peek()
	return err == nil && typ == 'S'
}

func itoa(n int) string { return fmt.Sprintf("%d", n) }
