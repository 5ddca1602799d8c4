package proxy

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// compose puts a statement of either protocol into m's messages.
func (s *Session) compose(m *executor.Member, r *request) {
	switch {
	case r.bind == nil:
		m.Query(r.text)
		m.Queue.Last().Table = r.table
	case r.describe && r.tmpl.Returns:
		m.BoundDescribed(r.text, r.oids, r.bind, r.formats)
	default:
		m.Bound(r.text, r.oids, r.bind, r.formats, r.maxRows)
	}
}

// runShow is SHOW: pleiad's own settings are the proxy's to tell.
func (s *Session) runShow(r *request) error {
	name := lower(r.tmpl.Name)
	if !isOwn(name) {
		return s.forward(r, s.anyBackend())
	}
	if _, ok := ownSettings[name]; !ok {
		s.fail(pgerr.New(pgerr.UndefinedObject, "unrecognized configuration parameter %q", name))
		return nil
	}
	value := s.own(name)
	if name == sessionToken {
		var e *pgerr.Error
		if value, e = s.token(); e != nil {
			s.fail(e)
			return nil
		}
	}
	if r.describe {
		s.out.Out = textColumn(s.out.Out, name)
	}
	s.textRow(value)
	s.tag("SHOW")
	return nil
}

// textRow writes a DataRow of one text value.
func (s *Session) textRow(v string) {
	dst, at := wire.Begin(s.out.Out, 'D')
	dst = binary.BigEndian.AppendUint16(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	s.out.Out = wire.End(append(dst, v...), at)
}

// runDiscard is DISCARD. What the session holds in the proxy goes together with what it holds on servers.
func (s *Session) runDiscard(r *request) error {
	what := strings.ToUpper(r.tmpl.Name)
	if what == "ALL" && s.gang.Txn.State != executor.TxnNone {
		s.fail(pgerr.New(pgerr.ActiveSQLTransaction, "DISCARD ALL cannot run inside a transaction block"))
		return nil
	}
	for _, m := range s.gang.Members() {
		if m.Backend == s.db.home {
			continue
		}
		m.Internal(string(r.text))
		if err := s.relay(m); err != nil || s.batch.failed {
			return err
		}
	}
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if what == "ALL" {
		return s.runDiscardAll(r, m)
	}
	s.compose(m, r)
	if err := s.relay(m); err != nil || s.batch.failed {
		return err
	}
	switch what {
	case "TEMP", "TEMPORARY":
		s.planner.setTemp(nil, nil)
	case "SEQUENCES":
		s.gang.DiscardSequences()
	}
	return nil
}

// runDiscardAll is DISCARD ALL, which returns to the settings of the client's startup packet rather than to the server's: only what
// is different then is told to the client.
func (s *Session) runDiscardAll(r *request, m *executor.Member) error {
	m.Internal(string(r.text))
	m.Queue.Last().Reply = executor.Quiet
	if s.startup.Apply != "" {
		m.Internal(s.startup.Apply)
	}
	if err := s.relay(m); err != nil || s.batch.failed {
		return err
	}
	s.discardAll()
	m.Conn.Settings = s.startup.ID
	s.tell(m)
	s.tag("DISCARD ALL")
	return nil
}

// tell tells the client of settings that it knows with other values than m has.
func (s *Session) tell(m *executor.Member) {
	for name, value := range m.Params() {
		if s.Parameter(name, value) {
			s.out.Out = wire.ParameterStatus(s.out.Out, name, value)
		}
	}
}

// discardAll forgets everything the session has set up; its connections may move again.
func (s *Session) discardAll() {
	s.dropPortals()
	s.dropStatements()
	s.cursors.all = nil
	s.stopListening()
	s.gang.DiscardSequences()
	s.planner.setTemp(nil, nil)
	s.settings.current = copyMap(s.settings.startup)
	s.gang.Settings = s.startup
	for _, m := range s.gang.Members() {
		m.Statements.Clear()
		m.Conn.Unnamed = 0
		m.Conn.Settings = 0
		m.Unclean = false
		m.Pinned = s.gang.PinAll
	}
	s.settingsChanged()
}

// runPrepared is PREPARE, EXECUTE and DEALLOCATE in SQL. They share their names with Parse.
func (s *Session) runPrepared(r *request) error {
	p := r.tmpl.Prepare
	switch r.tmpl.Kind {
	case router.KindPrepare:
		return s.sqlPrepare(r, p)
	case router.KindExecute:
		return s.sqlExecute(r, p)
	}
	if p.All {
		s.dropStatements()
		s.tag("DEALLOCATE ALL")
		return nil
	}
	if s.stmts[p.Name] == nil {
		s.fail(noStatement(p.Name))
		return nil
	}
	s.dropStatement(p.Name)
	s.tag("DEALLOCATE")
	return nil
}

// sqlPrepare prepares a statement at once on one server, which judges it, and later wherever it runs.
func (s *Session) sqlPrepare(r *request, p *router.Prepare) error {
	st := &statement{name: p.Name, text: p.Body, sql: true, types: p.Types, message: string(r.whole())}
	if e := s.addStatement(st); e != nil {
		s.fail(e)
		return nil
	}
	m, err := s.member(s.knowing(st.plan.tmpl))
	if err != nil {
		s.dropStatement(p.Name)
		s.fail(executor.ClientError(err))
		return nil
	}
	failed := s.batch.failed
	if name, _ := s.ensureParsed(m, st, executor.Quiet); m.Extended {
		ours := len("PREPARE " + name + st.typeList() + " AS ")
		m.Shift = charsBefore(r, strings.LastIndex(string(r.text), p.Body)) - ours
		m.SyncNow()
	}
	err = s.relay(m)
	m.Shift = 0
	if err != nil {
		return err
	}
	if s.batch.failed != failed {
		s.dropStatement(p.Name)
		return nil
	}
	s.tag("PREPARE")
	return nil
}

// sqlExecute runs a prepared statement with arguments given in SQL: it is routed by them, and runs there as EXECUTE.
func (s *Session) sqlExecute(r *request, p *router.Prepare) error {
	st := s.stmts[p.Name]
	if st == nil {
		s.fail(noStatement(p.Name))
		return nil
	}
	plan := s.replan(st)
	t := plan.tmpl
	if n := max(t.NParams, st.typeCount()); n != len(p.Args) {
		s.fail(wrongParameters(st, n, len(p.Args)))
		return nil
	}
	inner := request{text: []byte(st.text), tmpl: t, kinds: plan.kinds, params: argumentValues(p)}
	switch t.Kind {
	case router.KindHome, router.KindAny:
	case router.KindShards:
		if slices.ContainsFunc(inner.params, func(v shardmap.Value) bool { return v.TypeOID == notConstant }) {
			return s.executeBound(r, &inner, st, p)
		}
	case router.KindInsert, router.KindInsertQuery, router.KindPrelude, router.KindCopyRows, router.KindEverywhere, router.KindSessionViews:
		return s.executeBound(r, &inner, st, p)
	case router.KindInlined:
		if st.typeCount() == 0 { // types of its own would have to be told to the rewritten text
			return s.executeBound(r, &inner, st, p)
		}
		s.fail(router.RefuseFunction())
		return nil
	case router.KindRefuse:
		s.fail(t.Refusal)
		return nil
	default:
		s.fail(pgerr.New(pgerr.FeatureNotSupported, "EXECUTE of this %s is not supported over several backends", t.Command).
			WithHint("Run the statement itself, or prepare it through the driver's protocol."))
		return nil
	}
	set, err := s.route(&inner)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	b, one := set.single()
	if !one || s.readsOtherTime(&inner) {
		return s.executeBound(r, &inner, st, p)
	}
	s.beginSync(t)
	return s.executeOn(r, t, b, st, "", 0)
}

func wrongParameters(st *statement, want, got int) *pgerr.Error {
	return pgerr.New(pgerr.SyntaxError, "wrong number of parameters for prepared statement %q", st.name).
		WithDetail("Expected %d parameters but got %d.", want, got)
}

// executeOn runs the EXECUTE that begins at a byte of the request's text, behind a prefix, on one backend. Only the name is
// another: the arguments stay as they were written.
func (s *Session) executeOn(r *request, t *router.Template, b int, st *statement, prefix string, from int) error {
	m, err := s.join(t, b)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(t, m)
	name, _ := s.ensureParsed(m, st, executor.Quiet)
	if m.Extended {
		m.SyncNow()
	}
	rest := from + nameEnd(r.text[from:])
	head := prefix + "EXECUTE " + name
	text := append([]byte(head), r.text[rest:]...)
	if r.describe {
		m.Query(text)
	} else {
		m.Bound(text, nil, []byte{0, 0, 0, 0}, r.formats, r.maxRows)
	}
	m.Shift = charsBefore(r, rest) - utf8.RuneCountInString(head)
	err = s.relay(m)
	m.Shift = 0
	return err
}

// nameEnd is where the name behind a statement's first word ends.
func nameEnd(text []byte) int {
	toks := sqlparse.Tokens(string(text))
	if len(toks) < 2 {
		return len(text)
	}
	return toks[1].End
}

// charsBefore counts the characters of the client's message ahead of byte at of the statement.
func charsBefore(r *request, at int) int {
	return utf8.RuneCount(r.before) + utf8.RuneCount(r.text[:min(max(at, 0), len(r.text))])
}

// netError tells an error of a connection from one of the protocol.
func netError(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, net.ErrClosed)
}

func hexByte(b byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[b>>4], digits[b&15]})
}
