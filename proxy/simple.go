package proxy

import (
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// onQuery runs a simple query message: its statements one after the other, each routed by itself. Several of them
// form one implicit transaction, which an explicit BEGIN among them makes explicit, as in PostgreSQL.
func (s *Session) onQuery(frame []byte) error {
	if err := s.closeBatch(); err != nil || s.skip {
		return err
	}
	s.unnamed, s.messageText = nil, ""
	if p := s.portals[""]; p != nil { // it ends with a simple query, too
		s.endPortal(p)
		delete(s.portals, "")
	}
	s.beginWork()
	b := wire.BodyOf(frame)
	text := b.Text()
	if b.End() != nil {
		s.fail(pgerr.New(pgerr.ProtocolViolation, "%s", b.Fault()))
		s.batch.failed = false
		return s.ready()
	}
	if err := sqlparse.CheckEncoding(text); err != nil {
		s.fail(executor.ClientError(err))
		return s.ready()
	}
	s.spans = sqlparse.Split(s.spans[:0], text)
	s.out.HoldTag = true
	defer func() { s.out.HoldTag = false }()
	switch len(s.spans) {
	case 0:
		s.out.Out = wire.Empty(s.out.Out, 'I')
	case 1:
		if err := s.runSimple(text, s.spans[0]); err != nil {
			return err
		}
	default:
		if err := s.runSeveral(text); err != nil {
			return err
		}
	}
	if s.gang.Txn.State == executor.TxnImplicit {
		s.endImplicit()
	}
	s.batch.failed, s.out.HoldTag = false, false
	return s.ready()
}

// runSeveral runs the statements of a message until one fails.
func (s *Session) runSeveral(text []byte) error {
	spans := append([]sqlparse.Span(nil), s.spans...)
	// PostgreSQL parses the whole message before it runs any of it.
	for _, sp := range spans {
		if p := s.planText(text[sp.Start:sp.End]); p.tmpl.Kind == router.KindSyntax && p.tmpl.Refusal == nil {
			return s.runSyntax(text)
		}
	}
	for _, sp := range spans {
		if s.gang.Txn.State == executor.TxnNone {
			s.beginImplicit()
		}
		s.batch.failed = false
		if err := s.runSimple(text, sp); err != nil {
			return err
		}
		if s.batch.failed {
			return nil
		}
	}
	return nil
}

// runSimple runs one statement of a simple query.
func (s *Session) runSimple(message []byte, sp sqlparse.Span) error {
	text := message[sp.Start:sp.End]
	p := s.planText(text)
	if t := p.tmpl; t.NParams > 0 && t.Kind.Placed() {
		// Nobody has given values: as PostgreSQL finds when it analyses the statement, ahead of running any of it.
		p.tmpl = &router.Template{Kind: router.KindHome, Command: t.Command, Effect: t.Effect}
	}
	r := request{text: text, message: message, before: message[:sp.Start], tmpl: p.tmpl, points: p.points, kinds: p.kinds, describe: true}
	return s.run(&r)
}

// runSyntax shows a text that the parser rejects to home, with Parse alone: PostgreSQL's own error goes back.
// Should PostgreSQL accept it, it is syntax newer than the parser knows.
func (s *Session) runSyntax(text []byte) error {
	return s.parseOnly(text, nil, 0, errNewSyntax)
}

var errNewSyntax = pgerr.New(pgerr.FeatureNotSupported, "statement uses syntax that pleiad does not know yet").
	WithHint("pleiad reads the grammar of PostgreSQL 17: write the statement without what came later.")

// runRejected does so for a statement; one that is refused may be wrong in the first place, too.
func (s *Session) runRejected(r *request) error {
	if r.tmpl.Refusal == nil {
		return s.runSyntax(r.whole())
	}
	return s.parseOnly(r.text, r.oids, utf8.RuneCount(r.before), r.tmpl.Refusal)
}

// parseOnly lets home parse and analyse a text. Its error is the answer; where it has none, otherwise is. shift is how many
// characters of the client's message stand ahead.
func (s *Session) parseOnly(text []byte, oids []uint32, shift int, otherwise *pgerr.Error) error {
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	m.Out = wire.Parse(m.Out, "", string(text), m.OIDs(oids))
	m.Unnamed = 0
	m.Queue.Push(executor.Owed{Msg: 'P', Reply: executor.Quiet})
	m.SyncNow()
	m.Shift = shift
	o, err := executor.Relay(m, s.out, s)
	m.Shift = 0
	if err != nil {
		return s.lost(err)
	}
	if o.Failed {
		s.failed()
		return nil
	}
	s.fail(otherwise)
	return nil
}

// bindParseOnly answers the Bind of a statement that no server may run: what is wrong with its text is said by the server
// that its Parse is shown to.
func (s *Session) bindParseOnly(p *portal) error {
	if err := s.sendParse(); err != nil || s.skip {
		return err
	}
	if err := s.leave(); err != nil || s.skip {
		return err
	}
	if e := p.st.plan.tmpl.Refusal; e != nil {
		return s.failBatch(e)
	}
	return s.failBatch(errNewSyntax)
}

// endImplicit commits or rolls back the transaction that pleiad opened by itself.
func (s *Session) endImplicit() {
	if s.gang.Txn.Failed {
		s.gang.Rollback(s.out, s)
		s.afterRollback()
		return
	}
	if e := s.commit(); e != nil {
		s.out.DropTag()
		s.out.Out = append(s.out.Out, e...)
		s.batch.failed = true
	}
}
