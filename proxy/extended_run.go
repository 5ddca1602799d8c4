package proxy

import (
	"encoding/binary"
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// onDescribe describes a statement or a portal.
func (s *Session) onDescribe(frame []byte) error {
	s.startBatch()
	b := wire.BodyOf(frame)
	kind, name := b.Byte(), b.Text()
	if b.End() != nil {
		return s.malformed(&b)
	}
	switch kind {
	case 'S':
		return s.describeStatement(string(name))
	case 'P':
		if err := s.sendParse(); err != nil || s.skip {
			return err
		}
		return s.describePortal(string(name))
	default:
		return s.failBatch(pgerr.New(pgerr.ProtocolViolation, "invalid DESCRIBE message subtype %d", kind))
	}
}

func (s *Session) describeStatement(name string) error {
	st := s.statementNamed([]byte(name))
	if s.batch.parse != nil && s.batch.parse != st {
		if err := s.sendParse(); err != nil || s.skip {
			return err
		}
	}
	if st == nil {
		return s.failBatch(noStatement(name))
	}
	if err := s.readyToPlan(); err != nil || s.skip {
		return err
	}
	plan := s.replan(st)
	if plan.tmpl.Kind == router.KindExecute {
		return s.describeExecute(plan.tmpl.Prepare.Name)
	}
	if plan.tmpl.Kind == router.KindCursor && plan.tmpl.Cursor.Op != router.CursorDeclare {
		if err := s.sendParse(); err != nil || s.skip {
			return err
		}
		return s.describeFetch(plan.tmpl.Cursor, noParameters, []int16{0}) // whatever those of the cursor are
	}
	if !describable(plan.tmpl) {
		if err := s.sendParse(); err != nil || s.skip {
			return err
		}
		return s.answer(append(slices.Clone(noParameters), ownDescription(plan.tmpl)...))
	}
	m, err := s.use(s.parseBackend(plan.tmpl))
	if m == nil {
		return err
	}
	owed := s.batch.parse == st
	s.batch.parse = nil
	reply := executor.Quiet
	if owed {
		reply = executor.Forward
	}
	server, sent := s.ensureParsed(m, st, reply)
	if owed && !sent {
		m.Queue.Push(parsed(st))
	}
	m.Out = wire.Describe(m.Out, 'S', server)
	m.Extended = true
	m.Queue.Push(executor.Owed{Msg: 'D', Shape: st.shaped()})
	return nil
}

// noParameters is the ParameterDescription of a statement that has none.
var noParameters = []byte{'t', 0, 0, 0, 6, 0, 0}

// describeFetch describes FETCH behind head: its rows are the cursor's.
func (s *Session) describeFetch(c *router.Cursor, head []byte, formats []int16) error {
	cur := s.cursors.all[c.Name]
	if p := s.portals[c.Name]; cur == nil && p != nil && p.backend >= 0 {
		cur = &cursor{name: p.name, backend: p.backend}
		if len(formats) == 0 {
			formats = []int16{0} // whatever the portal's are
		}
	} else if cur == nil && p != nil && c.Op == router.CursorFetch && p.st.plan.tmpl.Returns {
		fields, err := s.fieldsOf(p.st)
		if err != nil || fields == nil {
			return err
		}
		return s.answer(append(slices.Clone(head), withFormats(fields, formats)...))
	}
	if c.Op != router.CursorFetch || cur == nil {
		return s.answer(append(slices.Clone(head), wire.Empty(nil, 'n')...))
	}
	fields, err := s.cursorFields(cur)
	if err != nil || fields == nil {
		return err
	}
	return s.answer(append(slices.Clone(head), withFormats(fields, formats)...))
}

// describeExecute describes EXECUTE: its rows are those of the prepared statement, whose absence is for the execution to say.
func (s *Session) describeExecute(name string) error {
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	inner := s.stmts[name]
	if inner == nil {
		return s.answer(wire.Empty(slices.Clone(noParameters), 'n'))
	}
	s.replan(inner)
	fields, err := s.fieldsOf(inner)
	if err != nil || fields == nil {
		return err
	}
	return s.answer(append(slices.Clone(noParameters), fields...))
}

// ownDescription is RowDescription or NoData of a statement that no server describes.
func ownDescription(t *router.Template) []byte {
	if t.Kind == router.KindShow {
		return textColumn(nil, t.Name)
	}
	return wire.Empty(nil, 'n')
}

// textColumn appends a RowDescription of one text column.
func textColumn(dst []byte, name string) []byte {
	dst, at := wire.Begin(dst, 'T')
	dst = binary.BigEndian.AppendUint16(dst, 1)
	dst = wire.String(dst, name)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0)
	return wire.End(dst, at)
}

// portalNamed finds a portal; a cursor that SQL declared is one as well.
func (s *Session) portalNamed(name string) *portal {
	if p := s.portals[name]; p != nil {
		return p
	}
	if c := s.cursors.all[name]; c != nil {
		return &portal{name: name, backend: c.backend, st: cursorStatement, cursor: c}
	}
	return nil
}

// cursorStatement stands for the statement of a portal that DECLARE made.
var cursorStatement = &statement{plan: planned{tmpl: &router.Template{Kind: router.KindHome, Command: "FETCH", Returns: true}}}

func (s *Session) describePortal(name string) error {
	p := s.portalNamed(name)
	if p == nil {
		return s.failBatch(noPortal(name))
	}
	if p.cursor != nil && p.cursor.fields != nil {
		return s.answer(p.cursor.fields)
	}
	if p.backend >= 0 {
		if s.gang.Txn.Failed {
			return s.failBatch(errFailedTransaction)
		}
		m, err := s.use(p.backend)
		if m == nil {
			return err
		}
		m.Out = wire.Describe(m.Out, 'P', name)
		m.Extended = true
		m.Queue.Push(executor.Owed{Msg: 'D', Table: p.table})
		return nil
	}
	if p.cursor != nil {
		return s.answer(p.cursor.merged.Fields())
	}
	if err := s.readyToPlan(); err != nil || s.skip {
		return err
	}
	t := s.replan(p.st).tmpl
	if t.Kind == router.KindExecute && s.stmts[t.Prepare.Name] != nil {
		inner := s.stmts[t.Prepare.Name]
		s.replan(inner)
		fields, err := s.fieldsOf(inner)
		if err != nil || fields == nil {
			return err
		}
		return s.answer(withFormats(fields, p.formats))
	}
	if t.Kind == router.KindCursor {
		return s.describeFetch(t.Cursor, nil, p.formats)
	}
	if !describable(t) {
		return s.answer(ownDescription(t))
	}
	if !t.Returns {
		return s.answer(wire.Empty(nil, 'n'))
	}
	fields, err := s.fieldsOf(p.st)
	if err != nil || fields == nil {
		return err
	}
	return s.answer(withFormats(fields, p.formats))
}

func noPortal(name string) *pgerr.Error {
	return pgerr.New(pgerr.InvalidCursorName, "portal %q does not exist", name)
}

// fieldsOf asks a server for a statement's RowDescription. nil without an error means that the batch failed.
func (s *Session) fieldsOf(st *statement) ([]byte, error) {
	if st.described != nil && st.describedScope == st.plan.scope {
		return st.described, nil
	}
	if err := s.leave(); err != nil || s.skip {
		return nil, err
	}
	m, err := s.member(s.knowing(st.plan.tmpl))
	if err != nil {
		return nil, s.failBatch(executor.ClientError(err))
	}
	name, sent := s.ensureParsed(m, st, executor.Quiet)
	var fields []byte
	errFrame, err := m.DescribeStatement(name, func(f []byte) { fields = append([]byte(nil), f...) })
	if err != nil {
		return nil, s.lost(err)
	}
	if errFrame != nil {
		m.Unnamed = 0
		if sent {
			m.Statements.Remove(st.id)
		}
		s.failFrame(errFrame)
		s.skip = true
		return nil, nil
	}
	if fields == nil {
		fields = wire.Empty(nil, 'n')
	}
	st.described, st.describedScope = fields, st.plan.scope
	return fields, nil
}

// withFormats returns a RowDescription with a portal's result formats in it.
func withFormats(fields []byte, formats []int16) []byte {
	out := append([]byte(nil), fields...)
	if len(formats) == 0 || out[0] != 'T' {
		return out
	}
	d := wire.BodyOf(out)
	n := d.Uint16()
	for i := range n {
		d.Text()
		rest := d.Bytes(18)
		if rest == nil {
			break
		}
		f := formats[0]
		if len(formats) > 1 && i < len(formats) {
			f = formats[i]
		}
		binary.BigEndian.PutUint16(rest[16:], uint16(f))
	}
	return out
}

// onExecute runs a portal.
func (s *Session) onExecute(frame []byte) error {
	s.startBatch()
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	b := wire.BodyOf(frame)
	name, rows := string(b.Text()), b.Int32()
	if b.End() != nil {
		return s.malformed(&b)
	}
	p := s.portalNamed(name)
	if p == nil {
		return s.failBatch(noPortal(name))
	}
	if rows < 0 {
		rows = 0
	}
	if s.gang.Txn.Failed && (p.backend >= 0 || !endsFailure(p.st.plan.tmpl)) {
		return s.failBatch(errFailedTransaction)
	}
	switch {
	case p.backend < 0 && p.cursor != nil:
		return s.executeCursor(p.cursor, int64(rows))
	case p.backend < 0:
		return s.executeLocal(p, int64(rows))
	}
	m, err := s.use(p.backend)
	if m == nil {
		return err
	}
	s.executes(p.st.plan.tmpl)
	s.effect(p.st.plan.tmpl, m)
	m.Out = wire.Execute(m.Out, name, rows)
	m.Extended = true
	m.Queue.Push(executor.Owed{Msg: 'E', Shape: p.shape, Formats: p.formats})
	s.batch.executed, s.batch.ran = true, true
	if len(m.Out) > pipelineBytes || m.Queue.Len() > pipelineReplies || copiesIn(p.st.plan.tmpl) {
		// A long pipeline: take what the server has answered, so that neither side's buffers fill up. Behind COPY FROM STDIN
		// the client's data may follow at once.
		m.Out = wire.Flush(m.Out)
		return s.relayBatch(m)
	}
	return nil
}

// copiesIn tells whether the server asks for data that the client may have sent already, whatever is the matter with the statement.
func copiesIn(t *router.Template) bool { return t.Command == "COPY" && t.Writes }

// A pipeline's messages are held back until Sync, up to these bounds.
const (
	pipelineBytes   = 32 << 10
	pipelineReplies = 256
)

// pipelined composes a statement of pleiad's own inside of a batch.
func (s *Session) pipelined(m *executor.Member, sql string) {
	m.Out = wire.Parse(m.Out, "", sql, nil)
	m.Unnamed = 0
	m.Queue.Push(executor.Owed{Msg: 'P', Reply: executor.Quiet})
	m.Out = wire.Bind(m.Out, "", "", wire.NoParams)
	m.Queue.Push(executor.Owed{Msg: 'B', Reply: executor.Quiet})
	m.Out = wire.Execute(m.Out, "", 0)
	m.Queue.Push(executor.Owed{Msg: 'E', Reply: executor.Quiet})
	m.Extended = true
}

// executeLocal runs a portal that pleiad answers by itself.
func (s *Session) executeLocal(p *portal, rows int64) error {
	if err := s.leave(); err != nil || s.skip {
		return err
	}
	t := p.st.plan.tmpl
	switch {
	case p.scatter != nil:
		return s.fetchScatter(p, rows)
	case p.rest != nil:
		return s.giveRest(p.rest, rows)
	case p.done && t.Returns:
		s.tag(doneTag(t))
		return nil
	case p.done:
		return s.failBatch(pgerr.New(pgerr.ObjectNotInPrerequisiteState, "portal %q cannot be run", p.name))
	}
	before := s.batch.failed
	s.batch.failed = false
	if err := s.beginPortal(p, rows); err != nil {
		return err
	}
	if s.batch.failed {
		s.skip = true
	}
	s.batch.failed = s.batch.failed || before
	s.batch.ran = t.Kind != router.KindTxn
	return s.out.Spill()
}

// beginPortal is a portal's first Execute.
func (s *Session) beginPortal(p *portal, rows int64) error {
	plan := s.replan(p.st)
	return s.runPortal(p, &request{
		text: []byte(p.st.text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds,
		oids: p.oids(), bind: p.bind, params: p.params, formats: p.formats, maxRows: rows, portal: p,
	})
}

// doneTag is the tag of one more Execute of a portal whose rows have all been given.
func doneTag(t *router.Template) string {
	switch {
	case t.Kind == router.KindShow || t.Kind == router.KindExplain:
		return t.Command
	case t.Command == "INSERT":
		return "INSERT 0 0"
	}
	return t.Command + " 0"
}

// runPortal runs a portal for the first time. Reads over several backends stop at the row limit; all else runs to its end, and
// the limit is one of what is shown.
func (s *Session) runPortal(p *portal, r *request) error {
	t, rows := r.tmpl, r.maxRows
	if rows > 0 && t.Returns && t.Kind != router.KindShards {
		if err := s.capturePortal(p, r); err != nil || s.batch.failed {
			return err
		}
		return s.giveRest(p.rest, rows)
	}
	if err := s.run(r); err != nil {
		return err
	}
	if p.scatter == nil && p.backend < 0 && t.Kind != router.KindEmpty {
		p.done = true
	}
	return nil
}

// onClose closes a statement or a portal. Servers keep statements: other clients may use the same text.
func (s *Session) onClose(frame []byte) error {
	s.startBatch()
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	b := wire.BodyOf(frame)
	kind, name := b.Byte(), string(b.Text())
	if b.End() != nil {
		return s.malformed(&b)
	}
	switch kind {
	case 'S':
		if st := s.stmts[name]; st != nil {
			s.batch.closed = append(s.batch.closed, st)
		}
		s.dropStatement(name)
		return s.answerFor(wire.Empty(nil, '3'), 'C', name)
	case 'P':
		if p := s.portalNamed(name); p != nil {
			delete(s.portals, name)
			delete(s.cursors.all, name)
			return s.closePortal(p)
		}
	default:
		return s.failBatch(pgerr.New(pgerr.ProtocolViolation, "invalid CLOSE message subtype %d", kind))
	}
	return s.answer(wire.Empty(nil, '3'))
}

func (s *Session) closePortal(p *portal) error {
	if p.backend < 0 {
		if p.cursor != nil {
			if err := s.leave(); err != nil || s.skip {
				return err
			}
			if err := s.closeCursor(p.cursor); err != nil {
				return err
			}
		}
		s.endPortal(p)
		return s.answer(wire.Empty(nil, '3'))
	}
	m, err := s.use(p.backend)
	if m == nil {
		return err
	}
	m.Out = wire.CloseMessage(m.Out, 'P', p.name)
	m.Extended = true
	m.Queue.Push(executor.Owed{Msg: 'C'})
	return nil
}

func (s *Session) dropStatement(name string) {
	if name == "" {
		s.unnamed = nil
		return
	}
	if st := s.stmts[name]; st != nil {
		forgetStatement(st)
		st.direct.forget()
		st.kept.forget()
		delete(s.stmts, name)
	}
}

func (s *Session) dropStatements() {
	for name := range s.stmts {
		s.dropStatement(name)
	}
	s.unnamed = nil
}

// dropPortals forgets the portals that ended with the transaction.
func (s *Session) dropPortals() {
	for name, p := range s.portals {
		s.endPortal(p)
		delete(s.portals, name)
	}
}

// endPortal ends what a portal has running. What it is on a server ends there by itself.
func (s *Session) endPortal(p *portal) {
	if p.scatter != nil {
		p.scatter.Close(s.ctx)
		p.scatter = nil
	}
	p.rest = nil
}

// onFlush passes on everything that is owed so far.
func (s *Session) onFlush() error {
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	if m := s.batch.member; m != nil && m.Queue.Len() > 0 {
		m.Out = wire.Flush(m.Out)
		if err := s.relayBatch(m); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

// onSync ends the batch: what was executed is committed, or rolled back after an error.
func (s *Session) onSync() error {
	if !s.skip {
		if err := s.sendParse(); err != nil {
			return err
		}
	}
	swallowed, err := s.syncMember()
	if err != nil || swallowed {
		return err
	}
	s.skip = false
	if s.gang.Txn.State == executor.TxnImplicit {
		s.endImplicit()
	}
	s.batch = batch{deadline: s.batch.deadline}
	return s.ready()
}

// syncMember sends Sync where messages of the extended protocol went. swallowed is true if a COPY on the way took
// the client's Sync for its own: PostgreSQL ignores it then, and so does pleiad.
func (s *Session) syncMember() (swallowed bool, err error) {
	s.batch.parse = nil
	m := s.batch.member
	if m == nil || !m.Extended && m.Queue.Len() == 0 {
		return false, nil
	}
	m.SyncNow()
	s.batch.swallow = false
	if err := s.relayBatch(m); err != nil {
		return false, err
	}
	if s.batch.swallow {
		s.batch.swallow = false
		m.Extended = true
		return true, nil
	}
	return false, nil
}

// closeBatch ends a batch that a simple query interrupts, as if Sync had come, without telling.
func (s *Session) closeBatch() error {
	if !s.batch.open {
		return nil
	}
	if err := s.onFlush(); err != nil || s.skip {
		return err // an error came first: the query is skipped as well
	}
	if _, err := s.syncMember(); err != nil {
		return err
	}
	s.skip = false
	if s.gang.Txn.State == executor.TxnImplicit {
		s.endImplicit()
	}
	s.batch = batch{deadline: s.batch.deadline}
	if s.gang.Txn.State == executor.TxnNone {
		s.release()
	}
	return nil
}
