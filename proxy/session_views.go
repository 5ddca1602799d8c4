package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// runSessionViews runs a query of what the session has: on home, with the session's own rows in the views' places.
func (s *Session) runSessionViews(r *request) error {
	home, told, ok, err := s.describeOwn(r)
	if !ok {
		return err
	}
	var text []byte
	from := 0
	for _, v := range r.tmpl.SessionViews {
		text = append(text, r.text[from:v.Start]...)
		with, failed := "", false
		switch v.Name {
		case "pg_listening_channels":
			with = s.channelRows()
		case "pg_cursors":
			with, failed, err = s.cursorRows()
		default:
			with, failed, err = s.statementRows(home)
		}
		if failed || err != nil {
			return err
		}
		text = append(text, with...)
		if v.Alias != "" {
			text = append(text, " AS "+v.Alias...)
		}
		from = v.End
	}
	next := *r
	next.own, next.text = r.client(), append(text, r.text[from:]...)
	next.tmpl, next.kinds, next.lits = router.Plan(string(next.text), s.planner.env), nil, nil
	if next.tmpl.Kind != router.KindHome && next.tmpl.Kind != router.KindAny {
		s.fail(refuseConnectionState)
		return nil
	}
	if r.describe && told.Fields != nil {
		s.out.Out = append(s.out.Out, told.Fields...) // the columns are the view's
		next.describe = false
		next.oids = told.Params
		if next.bind == nil {
			next.bind = []byte{0, 0, 0, 0}
		}
	}
	return s.forward(&next, s.db.home)
}

// channelRows is what stands in the place of pg_listening_channels().
func (s *Session) channelRows() string {
	var names []string
	for c := range s.listening {
		names = append(names, quoteLiteral(c))
	}
	slices.Sort(names)
	return "pg_catalog.unnest(ARRAY[" + strings.Join(names, ", ") + "]::pg_catalog.text[])"
}

// statementRows is what stands in the place of pg_prepared_statements: home's rows of the session's statements, by the
// names that the client gave them. Those that home does not have yet are prepared there.
func (s *Session) statementRows(home *executor.Member) (rows string, failed bool, err error) {
	if len(s.stmts) > s.srv.config().Limits.MaxPreparedPerServer {
		s.fail(pgerr.New(pgerr.FeatureNotSupported, "pg_prepared_statements cannot show more than limits.max_prepared_per_server statements").
			WithHint("Deallocate some, or raise limits.max_prepared_per_server."))
		return "", true, nil
	}
	values := []string{"(NULL::pg_catalog.text, NULL::pg_catalog.text, NULL::pg_catalog.text, NULL::pg_catalog.timestamptz)"}
	for _, st := range s.stmts {
		name, _ := s.ensureParsed(home, st, executor.Quiet)
		values = append(values, "("+quoteLiteral(name)+", "+quoteLiteral(st.name)+", "+quoteLiteral(st.source())+", "+
			quoteLiteral(instantOf(st.made))+")")
	}
	if home.Extended {
		home.SyncNow()
		before := s.batch.failed
		if err := s.relay(home); err != nil || s.batch.failed != before {
			return "", true, err
		}
	}
	types := "p.parameter_types, "
	if s.serverMajor() >= 16 {
		types += "p.result_types, "
	}
	return "(SELECT v.name, v.statement, v.prepare_time, " + types + "p.from_sql, p.generic_plans, p.custom_plans FROM pg_catalog.pg_prepared_statements p" +
		" JOIN (VALUES " + strings.Join(values, ", ") + ") v (own, name, statement, prepare_time) ON v.own = p.name)", false, nil
}

// instantOf writes a time as timestamptz reads it under every DateStyle.
func instantOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999Z07:00") }

// source is the text that pg_prepared_statements shows.
func (st *statement) source() string {
	if st.sql {
		return st.message
	}
	return st.text
}
