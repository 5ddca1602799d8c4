package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// recursive goes through the queries of a WITH RECURSIVE in front of a write, or with one in it: each is a step of its own, which
// has the ones before it in its own WITH. PostgreSQL, too, runs each once, but no further than it is read: where a LIMIT may end the reading, none is
// taken out.
func (b *preludeBuilder) recursive(n sqlparse.Node, w *sqlparse.WithClause) bool {
	for i, c := range w.Ctes {
		cte := c.GetCommonTableExpr()
		sel := cte.Ctequery.GetSelectStmt()
		if len(sel.GetLockingClause()) > 0 || b.names[cte.Ctename] {
			return false
		}
		for _, later := range w.Ctes[i+1:] {
			if b.mentions(cte.Ctequery, later.GetCommonTableExpr().Ctename) {
				return false
			}
		}
		b.names[cte.Ctename] = true
	}
	body := sqlparse.Clone(n)
	sqlparse.DropWith(body)
	if limits(body) {
		return false
	}
	for i, c := range w.Ctes {
		for _, later := range w.Ctes[i+1:] {
			if q := later.GetCommonTableExpr().Ctequery; limits(q) && b.mentions(q, c.GetCommonTableExpr().Ctename) {
				return false
			}
		}
	}
	var kept []sqlparse.Node
	for i, c := range w.Ctes {
		cte := c.GetCommonTableExpr()
		if cte.Ctequery.GetSelectStmt() == nil {
			if kept, b.bad = b.writesBetween(cte, c, kept); b.bad {
				return true
			}
			continue
		}
		used := b.mentions(body, cte.Ctename)
		for _, later := range w.Ctes[i+1:] {
			used = used || b.mentions(later.GetCommonTableExpr().Ctequery, cte.Ctename)
		}
		if !used {
			continue // PostgreSQL does not run it
		}
		kept = append(kept, c)
		step := &sqlparse.SelectStmt{
			TargetList: []sqlparse.Node{sqlparse.Output(sqlparse.Column(""))},
			FromClause: []sqlparse.Node{sqlparse.RangeVarNode(&sqlparse.RangeVar{Relname: cte.Ctename, Inh: true, Relpersistence: "p"})},
			WithClause: &sqlparse.WithClause{Recursive: true},
		}
		for _, n := range kept {
			step.WithClause.Ctes = append(step.WithClause.Ctes, sqlparse.Clone(n))
		}
		b.ctes = nil // the step has them
		rows := b.take(sqlparse.SelectNode(step))
		if rows == nil {
			b.bad = true
			return true
		}
		cte.Ctequery, cte.SearchClause, cte.CycleClause = rows, nil, nil
	}
	w.Ctes, w.Recursive, b.ctes = kept, false, kept
	return true
}

// writesBetween makes a step of a query that writes; kept are the ones before it, whose rows are there.
func (b *preludeBuilder) writesBetween(cte *sqlparse.CTE, n sqlparse.Node, kept []sqlparse.Node) (_ []sqlparse.Node, bad bool) {
	b.noteTarget(cte.Ctequery)
	b.ctes = kept
	returns := len(sqlparse.ReturningOf(cte.Ctequery)) > 0
	rows := b.take(cte.Ctequery)
	if rows == nil || b.bad {
		return nil, true
	}
	if !returns {
		return kept, false // nothing can refer to it
	}
	cte.Ctequery = rows
	return append(kept, n), false
}

// writing reports whether a WITH has a query that writes.
func writing(w *sqlparse.WithClause) bool {
	return slices.ContainsFunc(w.Ctes, func(n sqlparse.Node) bool { return n.GetCommonTableExpr().Ctequery.GetSelectStmt() == nil })
}

// limits reports whether a LIMIT is in a statement.
func limits(n sqlparse.Node) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		found = found || n.GetSelectStmt().GetLimitCount() != nil
		return !found
	})
	return found
}
