package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// explain plans EXPLAIN: of what runs on home alone, there; of what touches sharded or reference tables, as a
// statement around the plan of the inner one.
func (p *planner) explain(s *sqlparse.ExplainStmt) {
	p.t.Command, p.t.Returns = "EXPLAIN", true
	e := &Explain{Format: "text"}
	for _, n := range s.Options {
		d := n.GetDefElem()
		switch d.GetDefname() {
		case "analyze":
			e.Analyze = d.Arg == nil || optionTrue(optionText(d.Arg))
		case "format":
			e.Format = strings.ToLower(optionText(d.Arg))
		}
	}
	e.InnerFrom = p.explainEnd()
	e.Prefix = p.text[:e.InnerFrom]
	e.Inner = p.inner(s.Query, e.InnerFrom)
	in := e.Inner
	p.t.Clock = in.Clock
	p.t.NParams = in.NParams
	p.t.Unknown = in.Unknown
	if e.Analyze {
		p.t.Writes, p.t.Effect = in.Writes, in.Effect
	}
	if s.Query.GetRefreshMatViewStmt() != nil {
		p.t.Kind = KindHome // it has no plan, and is not run
		return
	}
	switch in.Kind {
	case KindRefuse:
		p.refuse(in.Refusal)
	case KindHome, KindAny:
		p.t.Kind = in.Kind
	case KindShards, KindInsert, KindInsertQuery, KindEverywhere:
		p.t.Kind, p.t.Explain = KindExplain, e
	case KindExecute:
		p.t.Kind, p.t.Explain = KindExplain, e
	default:
		if e.Query = p.explainedQuery(s, e); e.Query == "" {
			p.refuse(refExplain)
			return
		}
		p.t.Kind, p.t.Explain = KindExplain, e
	}
}

// explainedQuery is the query that a DECLARE or CREATE TABLE AS over shards runs: what EXPLAIN shows of these. "" where it is not
// known, or where EXPLAIN would make the table.
func (p *planner) explainedQuery(s *sqlparse.ExplainStmt, e *Explain) string {
	if d := e.Inner.Cursor; d != nil && d.Op == CursorDeclare {
		return p.text[d.InnerFrom:]
	}
	as := s.Query.GetCreateTableAsStmt()
	if as == nil || e.Analyze || as.IfNotExists || as.Query.GetSelectStmt() == nil || as.IsSelectInto {
		return ""
	}
	toks := trimmed(sqlparse.Tokens(p.text))
	switch n := len(toks); { // WITH [NO] DATA
	case n > 2 && toks[n-1].Word == "data" && toks[n-2].Word == "with":
		toks = toks[:n-2]
	case n > 3 && toks[n-1].Word == "data" && toks[n-2].Word == "no" && toks[n-3].Word == "with":
		toks = toks[:n-3]
	}
	for i, t := range toks {
		if t.Start > e.InnerFrom && t.Word == "as" && t.Depth == 0 && i+1 < len(toks) {
			return p.text[toks[i+1].Start:toks[len(toks)-1].End]
		}
	}
	return ""
}

// explainEnd is the byte where the explained statement starts.
func (p *planner) explainEnd() int {
	toks := sqlparse.Tokens(p.text)
	i := 1
	if i < len(toks) && toks[i].Punct == '(' && optionList(toks[i+1:]) {
		for i++; i < len(toks) && toks[i].Depth > 0; i++ {
		}
		i++
	}
	for i < len(toks) && (toks[i].Word == "analyze" || toks[i].Word == "analyse" || toks[i].Word == "verbose") {
		i++
	}
	if i >= len(toks) {
		return len(p.text)
	}
	return toks[i].Start
}

// optionList is false when the parenthesis behind EXPLAIN opens the query itself.
func optionList(toks []sqlparse.Token) bool {
	if len(toks) == 0 {
		return false
	}
	switch toks[0].Word {
	case "select", "with", "values", "table":
		return false
	}
	return toks[0].Punct != '('
}
