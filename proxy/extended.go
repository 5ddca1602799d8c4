package proxy

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// batch is the extended protocol's messages from one Sync to the next. They go to one server connection as long as
// they can; where another one is needed, the first is drained, and what it has executed becomes a transaction.
type batch struct {
	open     bool
	member   *executor.Member
	executed bool         // member has executed something that Sync would commit
	ran      bool         // an Execute of the transaction that Sync ends has run before
	parse    *statement   // a Parse that has been read and not sent: where to depends on the Bind
	failed   bool         // the statement, or one of the message, failed
	closed   []*statement // statements closed in the batch, in case an error comes before their turn
	swallow  bool         // the next Sync was swallowed by COPY
	deadline bool         // a read deadline is set on the client's socket
}

// portal is a bound statement.
type portal struct {
	name    string
	st      *statement
	backend int    // where it is bound, -1 when pleiad runs it by itself
	born    uint64 // as cursor.born
	made    time.Time
	bind    []byte
	params  []shardmap.Value
	formats []int16
	types   []uint32          // the parameters' types (home's oids), where they are known and their values may hold oids
	shape   *executor.Shape   // of the rows, where they come in binary format from another backend than home
	scatter *executor.Scatter // suspended
	done    bool
	cursor  *cursor // DECLAREd, over several backends
	table   uint32  // home's oid of the table whose partition the server's statement names; 0 where it names the table
	rest    *captured
}

// malformed fails a message whose body does not have the form that its type demands, with the error that pqformat.c
// gives for what is wrong: PostgreSQL skips to the next Sync then.
func (s *Session) malformed(b *wire.Body) error {
	s.startBatch()
	return s.failBatch(pgerr.New(pgerr.ProtocolViolation, "%s", b.Fault()))
}

// onParse notes a statement. It is sent to a server with the next message that shows which one.
func (s *Session) onParse(frame []byte) error {
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	b := wire.BodyOf(frame)
	name, text := b.Text(), b.Text()
	n := b.Uint16()
	oids := make([]uint32, 0, min(n, b.Left()/4))
	for range n {
		oids = append(oids, uint32(b.Int32()))
		if b.Err() != nil {
			return s.malformed(&b)
		}
	}
	if b.End() != nil {
		return s.malformed(&b)
	}
	s.startBatch()
	if err := sqlparse.CheckEncoding(text); err != nil {
		return s.failBatch(executor.ClientError(err))
	}
	st := &statement{name: string(name), text: string(text), oids: oids}
	if err := s.readyToPlan(); err != nil || s.skip {
		return err
	}
	if e := s.addStatement(st); e != nil {
		return s.refuseParse(st, e)
	}
	s.batch.parse = st
	return nil
}

// refuseParse fails a Parse. What PostgreSQL would not run either is said in its own words.
func (s *Session) refuseParse(st *statement, e *pgerr.Error) error {
	if e != st.plan.tmpl.GetRefusal() || e.Code != pgerr.FeatureNotSupported && e.Code != pgerr.UndefinedTable {
		return s.failBatch(e)
	}
	if err := s.leave(); err != nil || s.skip {
		return err
	}
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		return s.failBatch(e)
	}
	_, failure, err := m.DescribeText(st.text, st.oids)
	switch {
	case err != nil:
		return s.lost(err)
	case failure == nil:
		return s.failBatch(e)
	}
	s.failFrame(failure)
	s.skip = true
	return nil
}

// addStatement plans a new statement and puts it under its name.
func (s *Session) addStatement(st *statement) *pgerr.Error {
	s.spans = sqlparse.Split(s.spans[:0], []byte(st.text))
	if len(s.spans) > 1 {
		return pgerr.New(pgerr.SyntaxError, "cannot insert multiple commands into a prepared statement")
	}
	st.plan, st.made = s.planPrepared(st), time.Now()
	if t := st.plan.tmpl; t.Kind == router.KindRefuse && !s.gang.Txn.Failed {
		return t.Refusal
	}
	if s.gang.Txn.Failed && !endsFailure(st.plan.tmpl) {
		return errFailedTransaction
	}
	if st.name == "" {
		st.id = statementIDs.next.Add(1)
		s.unnamed = st
		return nil
	}
	if _, taken := s.stmts[st.name]; taken {
		return pgerr.New(pgerr.DuplicatePreparedStatement, "prepared statement %q already exists", st.name)
	}
	if limit := s.srv.config().Limits.MaxPreparedPerClient; limit > 0 && len(s.stmts) >= limit {
		return pgerr.New(pgerr.ConfigurationLimitExceeded, "more than %d prepared statements", limit).
			WithHint("Close some, or raise limits.max_prepared_per_client.")
	}
	reading, shared := s.reading()
	if shared {
		st.reading = reading
	}
	if st.tempAge = s.planner.tempAge; st.tempAge == 0 && shared && st.shareable() {
		st.epoch = s.planner.env.Schema.Epoch
	}
	internStatement(st)
	if s.stmts == nil {
		s.stmts = map[string]*statement{}
	}
	s.stmts[st.name] = st
	return nil
}

func (s *Session) startBatch() {
	if !s.batch.open {
		s.batch.open = true
		s.batch.failed = false
		s.beginWork()
	}
}

// replan brings a statement's plan up to date after the schema or the settings changed.
func (s *Session) replan(st *statement) *planned {
	if st.plan.tmpl != nil && s.planner.mustAsk(s) && needsNoSchema([]byte(st.text)) {
		return &st.plan
	}
	if st.plan.scope != s.planner.current(s) {
		st.noteTold()
		if st.tempAge != s.planner.tempAge {
			s.renew(st)
		}
		st.plan = s.planPrepared(st)
	}
	return &st.plan
}

// renew makes another statement of st for the servers: temporary relations have come or gone, and a server keeps the
// relations that it has found, in one server's part of a table as well as in all of it.
func (s *Session) renew(st *statement) {
	st.direct.forget()
	st.kept.forget()
	if st.epoch != 0 {
		forgetStatement(st)
	}
	st.epoch, st.id, st.tempAge = 0, statementIDs.next.Add(1), s.planner.tempAge
}

// sendParse sends a Parse that no Bind has claimed, to a server that will do.
func (s *Session) sendParse() error {
	st := s.batch.parse
	if st == nil {
		return nil
	}
	if local(st.plan.tmpl) {
		s.batch.parse = nil
		return s.answerFor(wire.Empty(nil, '1'), 'P', st.name)
	}
	m, err := s.use(s.parseBackend(st.plan.tmpl))
	if m == nil {
		return err
	}
	s.batch.parse = nil
	if _, sent := s.ensureParsed(m, st, executor.Forward); !sent {
		m.Queue.Push(parsed(st))
	}
	return nil
}

// parsed is the ParseComplete of a statement that the server knew already.
func parsed(st *statement) executor.Owed {
	return executor.Owed{Msg: 'P', Reply: executor.Fake, Client: st.name, Frames: wire.Empty(nil, '1')}
}

// undo takes back what messages did to the session that PostgreSQL skips, because one before them failed.
func (s *Session) undo(dropped []executor.Owed) {
	for i := len(dropped) - 1; i >= 0; i-- {
		d := dropped[i]
		switch d.Msg {
		case 'P':
			s.dropStatement(d.Client)
		case 'C':
			for j := len(s.batch.closed) - 1; j >= 0; j-- {
				if st := s.batch.closed[j]; st.name == d.Client && s.stmts[st.name] == nil {
					internStatement(st)
					s.stmts[st.name] = st
					s.batch.closed = append(s.batch.closed[:j], s.batch.closed[j+1:]...)
					break
				}
			}
		}
	}
	if st := s.batch.parse; st != nil {
		s.batch.parse = nil
		s.dropStatement(st.name)
	}
}

// parseBackend is where a statement is parsed or described that is not bound yet: home has all relations.
func (s *Session) parseBackend(t *router.Template) int {
	if m := s.batch.member; onEvery(t) && m != nil && m == s.gang.Member(m.Backend) {
		return m.Backend
	}
	return s.knowing(t)
}

// knowing is a backend that has all relations of a statement, and takes part in the transaction already where it can be.
func (s *Session) knowing(t *router.Template) int {
	if onEvery(t) {
		return s.anyBackend()
	}
	return s.db.home
}

// onEvery tells whether every backend has the relations of a statement.
func onEvery(t *router.Template) bool {
	switch t.Kind {
	case router.KindAny, router.KindEverywhere:
		return true
	case router.KindShards, router.KindInsert:
		return !t.NeedsHome && t.Gather == nil && t.InsertQuery == nil && t.Prelude == nil
	}
	return false
}

// local tells whether pleiad runs statements of this plan by itself, rather than passing Bind and Execute on.
func local(t *router.Template) bool {
	if len(t.SetConfig) > 0 {
		return true
	}
	switch t.Kind {
	case router.KindHome, router.KindAny, router.KindShards, router.KindNotify, router.KindSyntax:
		return false
	}
	return true
}

// describable tells whether a server can describe the statement from its text.
func describable(t *router.Template) bool {
	switch t.Kind {
	case router.KindCursor:
		return t.Cursor.Op == router.CursorDeclare
	case router.KindInsert, router.KindInsertQuery, router.KindPrelude, router.KindInlined, router.KindRoutine, router.KindSessionViews, router.KindCopyRows, router.KindEverywhere, router.KindExplain, router.KindCopyIn, router.KindCopyOut:
		return true
	}
	return !local(t) || len(t.SetConfig) > 0
}

// use makes a backend's connection the batch's. A nil Member without an error means that the statement failed.
func (s *Session) use(b int) (*executor.Member, error) { return s.useRead(nil, b) }

// useRead is use for a statement that a standby may answer; t is nil for what is not a statement.
func (s *Session) useRead(t *router.Template, b int) (*executor.Member, error) {
	backend := b
	if t != nil {
		b = s.place(t, b)
	}
	if old := s.batch.member; old != nil {
		if old.Backend == b && s.gang.Member(b) == old {
			return old, nil
		}
		if err := s.leave(); err != nil || s.skip {
			return nil, err
		}
	}
	m, err := s.joinPlace(b, backend)
	if err != nil {
		return nil, s.failBatch(executor.ClientError(err))
	}
	s.batch.member = m
	return m, nil
}

// leave drains the batch's connection, because the next message runs elsewhere. What it has executed since the
// last Sync is one transaction with what follows: BEGIN, sent inside of the pipeline, makes it one.
func (s *Session) leave() error {
	m := s.batch.member
	s.batch.member = nil
	if m == nil || !m.Extended && m.Queue.Len() == 0 {
		return nil
	}
	if s.batch.executed && s.gang.Txn.State == executor.TxnNone {
		s.beginImplicit()
		s.gang.MarkBegun(m)
		s.gang.Txn.Late()
		s.pipelined(m, "BEGIN")
	}
	s.batch.executed = false
	if m.Extended {
		m.SyncNow()
	}
	err := s.relayBatch(m)
	if m.Status == 'I' {
		m.Began = false // an error ahead of BEGIN: the server has skipped that
	}
	return err
}

// relayBatch passes on what the batch's connection owes.
func (s *Session) relayBatch(m *executor.Member) error {
	before := s.batch.failed
	s.batch.failed = false
	err := s.relay(m)
	if s.batch.failed {
		s.skip = true
	}
	s.batch.failed = s.batch.failed || before
	return err
}

// answer gives the client a reply of pleiad's own, behind what the batch's connection still owes.
func (s *Session) answer(frames []byte) error { return s.answerFor(frames, 0, "") }

// answerFor is answer to a Parse or Close of the client's statement name, which is taken back if an error comes first.
func (s *Session) answerFor(frames []byte, msg byte, name string) error {
	if m := s.batch.member; m != nil && m.Queue.Len() > 0 {
		m.Queue.Push(executor.Owed{Msg: msg, Reply: executor.Fake, Client: name, Frames: frames})
		return nil
	}
	s.out.Out = append(s.out.Out, frames...)
	return s.out.Spill()
}

// failBatch fails the batch with an error of pleiad's own: the answers owed come first, and what the pipeline has
// executed without a transaction is rolled back.
func (s *Session) failBatch(e *pgerr.Error) error {
	m := s.batch.member
	if m != nil && (m.Queue.Len() > 0 || m.Extended) {
		undo := s.batch.executed && s.gang.Txn.State == executor.TxnNone
		m.Out = wire.Flush(m.Out)
		if err := s.relayBatch(m); err != nil || s.skip {
			return err
		}
		if undo {
			s.pipelined(m, "ROLLBACK")
			s.batch.executed = false
		}
	}
	s.fail(e)
	s.skip = true
	return nil
}

// onBind binds a statement: on the server it routes to, or as a portal of pleiad's own.
func (s *Session) onBind(frame []byte) error {
	s.startBatch()
	b := wire.BodyOf(frame)
	portalName, stmtName := b.Text(), b.Text()
	tail := b.Rest()
	if b.Err() != nil {
		return s.malformed(&b)
	}
	st := s.statementNamed(stmtName)
	if s.batch.parse != nil && s.batch.parse != st {
		if err := s.sendParse(); err != nil || s.skip {
			return err
		}
	}
	if st == nil {
		return s.failBatch(noStatement(string(stmtName)))
	}
	p := &portal{name: string(portalName), st: st, backend: -1}
	params, bad := p.decode(tail)
	if bad != nil {
		return s.failBind(bad)
	}
	if err := s.readyToPlan(); err != nil || s.skip {
		return err
	}
	plan := s.replan(st)
	if s.gang.Txn.Failed && !endsFailure(plan.tmpl) {
		return s.failBatch(errFailedTransaction)
	}
	if same, err := s.sameResult(st); !same {
		return err
	}
	if plan.tmpl.Kind == router.KindSyntax {
		return s.bindParseOnly(p)
	}
	if p.name != "" {
		if s.portals[p.name] != nil || s.cursors.all[p.name] != nil {
			return s.failBind(pgerr.New(pgerr.DuplicateCursor, "cursor %q already exists", p.name))
		}
	}
	if !local(plan.tmpl) && !s.readsOtherClock(plan, p) {
		set, err := s.routeBound(plan, p)
		if errors.Is(err, shardmap.ErrNotProvable) && plan.tmpl.Insert != nil {
			return s.bindLocal(p, tail, params) // home computes the key when it runs
		}
		if err != nil {
			if s.skip {
				return nil // the client has been told
			}
			return s.failBind(executor.ClientError(err))
		}
		if one, ok := set.single(); ok {
			if ready, err := s.typesBound(one, p, tail); !ready {
				return err
			}
			return s.bindOn(one, p, tail)
		}
	}
	return s.bindLocal(p, tail, params)
}

// failBind fails a Bind. A Parse that waited for it comes first.
func (s *Session) failBind(e *pgerr.Error) error {
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	return s.failBatch(e)
}

// bindOn passes a Bind on to the one backend it routes to.
func (s *Session) bindOn(b int, p *portal, tail []byte) error {
	if t := p.st.plan.tmpl; s.wantsSync(t) {
		// What the pipeline has executed so far is part of the transaction; leave sees to that.
		if s.gang.Txn.State == executor.TxnNone {
			if err := s.leave(); err != nil || s.skip {
				return err
			}
		}
		s.beginSync(t)
	}
	m, err := s.useRead(p.st.plan.tmpl, b)
	if m == nil {
		return err
	}
	owed := s.batch.parse == p.st
	s.batch.parse = nil
	reply := executor.Quiet
	if owed {
		reply = executor.Forward
	}
	var name string
	if direct := s.directly(m, p); direct != nil && !owed {
		name = s.ensureDirect(m, direct, p.st.text)
		p.table = p.st.plan.tmpl.Direct.Table.OID
	} else {
		var sent bool
		if name, sent = s.ensureParsed(m, p.st, reply); owed && !sent {
			m.Queue.Push(parsed(p.st))
		}
	}
	m.Out = wire.Bind(m.Out, p.name, name, m.Types.Bind(tail, p.types))
	m.Extended = true
	m.Queue.Push(executor.Owed{Msg: 'B', Client: p.st.name, Server: name})
	s.shapeBound(m, p, name)
	p.backend = m.Backend
	p.params = nil // they point into the client's message
	s.setPortal(p)
	return nil
}

// bindLocal makes a portal that pleiad runs by itself.
func (s *Session) bindLocal(p *portal, tail []byte, params int) error {
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	t := p.st.plan.tmpl
	// Parse may have declared more parameters than the text names.
	if n, want := len(p.params), max(t.NParams, len(p.st.oids)); n != want && t.Kind != router.KindExecute {
		return s.failBatch(pgerr.New(pgerr.ProtocolViolation,
			"bind message supplies %d parameters, but prepared statement %q requires %d", n, p.st.name, want))
	}
	p.bind = append([]byte(nil), tail[:params]...)
	if _, bad := p.decode(p.bind); bad != nil { // again, now pointing into the copy
		return s.failBatch(bad)
	}
	if ready, err := s.typesBound(-1, p, tail); !ready {
		return err
	}
	p.backend = -1
	s.setPortal(p)
	return s.answer(wire.Empty(nil, '2'))
}

func (s *Session) setPortal(p *portal) {
	if s.portals == nil {
		s.portals = map[string]*portal{}
	}
	if old := s.portals[p.name]; old != nil {
		s.endPortal(old)
	}
	s.cursors.born++
	p.born, p.made = s.cursors.born, time.Now()
	s.portals[p.name] = p
}

// decode reads Bind's body behind the names. It returns the length of the parameters' part; result formats follow
// it and may be absent when decode is given that part alone.
func (p *portal) decode(tail []byte) (params int, bad *pgerr.Error) {
	b := wire.Of(tail)
	nf := b.Uint16()
	formats := b.Bytes(2 * nf)
	n := b.Uint16()
	if b.Err() == nil && nf > 1 && nf != n {
		return 0, pgerr.New(pgerr.ProtocolViolation, "bind message has %d parameter formats but %d parameters", nf, n)
	}
	p.params = p.params[:0]
	for i := range n {
		v := shardmap.Value{}
		switch {
		case b.Err() != nil:
			return 0, b.Violation()
		case nf == 1:
			v.Format = shardmap.Format(binary.BigEndian.Uint16(formats))
		case nf > 1:
			v.Format = shardmap.Format(binary.BigEndian.Uint16(formats[2*i:]))
		}
		if v.Format > shardmap.Binary {
			return 0, pgerr.New(pgerr.InvalidParameterValue, "unsupported format code: %d", v.Format).
				WithContext("%s parameter $%d", p.described(), i+1)
		}
		if size := b.Int32(); size == -1 {
			v.Null = true
		} else {
			v.Data = b.Bytes(int(size))
		}
		if b.Err() != nil {
			return 0, b.Violation().WithContext("%s parameter $%d", p.described(), i+1)
		}
		if p.st != nil && i < len(p.st.oids) {
			v.TypeOID = p.st.oids[i]
		}
		p.params = append(p.params, v)
	}
	params = len(tail) - b.Left()
	if b.Err() != nil || b.Left() == 0 {
		return params, b.Violation()
	}
	nr := b.Uint16()
	p.formats = p.formats[:0]
	for range nr {
		if b.Err() != nil {
			break
		}
		p.formats = append(p.formats, b.Int16())
	}
	b.Done()
	return params, b.Violation()
}

// described names the portal as PostgreSQL's error contexts do.
func (p *portal) described() string {
	if p.name == "" {
		return "unnamed portal"
	}
	return "portal \"" + p.name + "\""
}

func noStatement(name string) *pgerr.Error {
	if name == "" {
		return pgerr.New(pgerr.InvalidSQLStatementName, "unnamed prepared statement does not exist")
	}
	return pgerr.New(pgerr.InvalidSQLStatementName, "prepared statement %q does not exist", name)
}
