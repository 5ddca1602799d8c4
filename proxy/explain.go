package proxy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// runExplain is EXPLAIN of a statement over sharded or reference tables: the backends that it runs on, and the plan
// of each.
func (s *Session) runExplain(r *request) error {
	e := r.tmpl.Explain
	if e.Query != "" {
		return s.explainQuery(r, e)
	}
	if e.Inner.Kind == router.KindExecute {
		return s.explainExecute(r, e)
	}
	inner := *r
	inner.tmpl = e.Inner
	switch e.Inner.Kind {
	case router.KindShards:
	case router.KindInsert, router.KindInsertQuery, router.KindEverywhere:
		if e.Analyze {
			s.fail(refuseAnalyzeWrite)
			return nil
		}
		return s.explainOn(r, e, s.allBackends(), string(r.text), "")
	default:
		return s.forward(r, s.db.home)
	}
	set, err := s.route(&inner)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if b, one := set.single(); one {
		return s.explainOn(r, e, []int{b}, string(r.text), "")
	}
	if e.Inner.Scatter == nil {
		return s.explainParts(r, e, set)
	}
	if e.Analyze && e.Inner.Scatter.Modifies {
		s.openImplicit()
	}
	var run executor.Scatter
	text, err := s.scatterText(&inner, &run)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if c := e.Inner.Scatter.Combine; c != nil && c.Same == nil {
		text = e.Prefix + c.Probe()
	}
	return s.explainOn(r, e, set.list(), text, gathering(e.Inner.Scatter))
}

// explainExecute explains a prepared statement, which servers know under a name of the session's own, where home runs it alone.
func (s *Session) explainExecute(r *request, e *router.Explain) error {
	st := s.stmts[e.Inner.Prepare.Name]
	if st == nil {
		s.fail(noStatement(e.Inner.Prepare.Name))
		return nil
	}
	t := s.replan(st).tmpl
	if t.Kind != router.KindHome && t.Kind != router.KindAny {
		s.fail(refuseExplainExecute)
		return nil
	}
	return s.executeOn(r, t, s.db.home, st, e.Prefix, e.InnerFrom)
}

var refuseExplainExecute = pgerr.New(pgerr.FeatureNotSupported, "EXPLAIN EXECUTE over sharded tables is not supported").
	WithHint("EXPLAIN the statement itself, with the arguments in it.")

// explainQuery explains the query of a statement that does more. Home looks at that first, in its own part of the tables: what is
// wrong with it, and whether what it makes is there already, is told by PostgreSQL.
func (s *Session) explainQuery(r *request, e *router.Explain) error {
	if !e.Analyze {
		m, err := s.gang.Join(s.ctx, s.db.home)
		if err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
		_, failure, err := m.AskBound(string(r.text), r.oids, r.bind)
		if err != nil || failure != nil {
			return s.combineFailed(failure, err, r.position())
		}
	}
	next := *r
	next.text = []byte(e.Prefix + e.Query)
	plan := s.planOwned(next.text)
	next.tmpl, next.lits, next.kinds = plan.tmpl, plan.lits, plan.kinds
	return s.run(&next)
}

// explainParts explains a statement that is several on the servers, by the one that reads.
func (s *Session) explainParts(r *request, e *router.Explain, set backends) error {
	if e.Analyze && e.Inner.Writes {
		s.fail(refuseAnalyzeWrite)
		return nil
	}
	switch in := e.Inner; {
	case in.Gather != nil && in.Gather.Target != nil:
		return s.explainOn(r, e, set.list(), e.Prefix+in.Gather.Fetch, "gather: these rows are fetched, and given to each backend that holds some of the target")
	case in.Gather != nil:
		return s.explainOn(r, e, set.list(), e.Prefix+in.Gather.Fetch, "gather: these rows are fetched to one backend, which finishes the statement")
	case in.InsertQuery != nil:
		plan := s.planOwned([]byte(e.Prefix + in.InsertQuery.Source))
		next := *r
		next.text, next.tmpl, next.lits, next.kinds = []byte(e.Prefix+in.InsertQuery.Source), plan.tmpl, plan.lits, plan.kinds
		return s.run(&next)
	}
	s.fail(refusal(e.Inner))
	return nil
}

var refuseAnalyzeWrite = pgerr.New(pgerr.FeatureNotSupported, "EXPLAIN ANALYZE of a write to several backends is not supported").
	WithHint("Leave ANALYZE out, or write one row.")

// gathering says how the backends' rows become the answer.
func gathering(sc *router.Scatter) string {
	switch {
	case sc.Combine != nil:
		return "combine: each backend computes a part of the rows, and one of them the answer"
	case len(sc.Sort) > 0:
		return "merge by the sort key"
	}
	return "concatenate"
}

// allBackends are those that take part, home first.
func (s *Session) allBackends() []int {
	out := []int{s.db.home}
	present := s.planner.env.Schema.Map.Present()
	for n := range present.All() {
		if b := int(n); b != s.db.home {
			out = append(out, b)
		}
	}
	return out
}

// explainOn asks each backend for its plan and writes them as one.
func (s *Session) explainOn(r *request, e *router.Explain, list []int, text, how string) error {
	var names []string
	var plans [][]string
	for _, b := range list {
		m, err := s.member(b)
		if err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		rows, errFrame, err := m.AskBound(text, r.oids, r.bind)
		switch {
		case err != nil:
			return s.lost(err)
		case errFrame != nil:
			s.failFrame(errFrame)
			return nil
		}
		names = append(names, s.db.targets[b].Name)
		var lines []string
		for _, row := range rows {
			if len(row) > 0 {
				lines = append(lines, strings.Split(string(row[0]), "\n")...)
			}
		}
		plans = append(plans, lines)
	}
	if r.describe {
		s.out.Out = textColumn(s.out.Out, "QUERY PLAN")
	}
	var out []string
	switch e.Format {
	case "json":
		out = []string{explainJSON(names, plans, how)}
	case "yaml", "xml":
		out = explainComment(e.Format, names, plans)
	default:
		out = explainText(names, plans, how)
	}
	for _, line := range out {
		s.textRow(line)
	}
	s.tag("EXPLAIN")
	return nil
}

func explainText(names []string, plans [][]string, how string) []string {
	out := []string{"Backends: " + strings.Join(names, ", ")}
	if how != "" {
		out[0] = fmt.Sprintf("Scatter over %d backends: %s (%s)", len(names), strings.Join(names, ", "), how)
	}
	for i, lines := range plans {
		out = append(out, "  ->  Backend "+names[i])
		for _, l := range lines {
			out = append(out, "        "+l)
		}
	}
	return out
}

func explainJSON(names []string, plans [][]string, how string) string {
	type part struct {
		Backend string          `json:"Backend"`
		Plan    json.RawMessage `json:"Plan"`
	}
	doc := struct {
		Merge    string `json:"Merge,omitempty"`
		Backends []part `json:"Backends"`
	}{Merge: how}
	for i, lines := range plans {
		doc.Backends = append(doc.Backends, part{names[i], json.RawMessage(strings.Join(lines, "\n"))})
	}
	b, err := json.MarshalIndent([]any{doc}, "", "  ")
	if err != nil {
		return "[]"
	}
	return string(b)
}

// explainComment joins plans in a format that has comments.
func explainComment(format string, names []string, plans [][]string) []string {
	var parts []string
	for i, lines := range plans {
		head := "# Backend: " + names[i]
		if format == "xml" {
			head = "<!-- Backend: " + names[i] + " -->"
		}
		parts = append(parts, head, strings.Join(lines, "\n"))
	}
	return []string{strings.Join(parts, "\n")}
}
