package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// mergeQuery plans MERGE over several backends: the source's rows are read first, and each goes to the backend that holds
// the rows of the key it is joined by, where the join equates the whole partition key with expressions of the source and a row
// that is inserted has that key. Without rows to insert any join does: every backend is given all of the source.
func (p *planner) mergeQuery(a *analysis, q *query, r *rel, s *sqlparse.MergeStmt) (*InsertQuery, *pgerr.Error) {
	src := q.rels[1:]
	switch {
	case a.err != nil:
		return nil, a.err
	case a.statementTrigger:
		return nil, refTriggerMulti
	case (q.targetFacts|q.whereFacts)&(fnNextval|fnCurrval) != 0:
		return nil, refMixedSeq // each backend would take the values of its own sequences
	case a.writes || a.tableOID || len(src) != 1 || src[0].open || len(src[0].cols) == 0 || len(q.subs) > 0:
		return nil, refMerge
	}
	alias := sourceAlias(s.SourceRelation)
	if alias == "" {
		return nil, refMerge
	}
	keys := p.mergeKeys(a, q, r, src[0], s)
	if keys == nil && inserts(s) {
		return nil, refMergeKey
	}
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		if w.MatchKind == sqlparse.MergeNotMatchedBySource {
			return nil, refMerge
		}
		if w.CommandType == sqlparse.CmdInsert {
			if err := a.insertsKey(r.table, w.TargetList, w.Values, keys); err != nil {
				return nil, err
			}
		}
	}
	out := &InsertQuery{Table: r.table, Columns: len(src[0].cols), Broadcast: keys == nil, Returning: len(s.ReturningList) > 0}
	sel := &sqlparse.SelectStmt{FromClause: []sqlparse.Node{s.SourceRelation}, WithClause: s.WithClause}
	for _, c := range src[0].cols {
		sel.TargetList = append(sel.TargetList, sqlparse.Output(sqlparse.Column(alias, c)))
	}
	for i := range keys {
		k := r.table.Key[i]
		key, err := sqlparse.Cast(keys[i], r.table.Columns[k].TypeName)
		if err != nil {
			return nil, refMerge
		}
		out.Keys = append(out.Keys, len(sel.TargetList))
		sel.TargetList = append(sel.TargetList, sqlparse.Output(key))
	}
	source, err := sqlparse.Deparse(sqlparse.SelectNode(sel))
	if err != nil {
		return nil, refMerge
	}
	s.WithClause = nil
	s.SourceRelation = sqlparse.Range(sourceRows, alias, src[0].cols)
	if out.Text, err = sqlparse.Deparse(sqlparse.MergeNode(s)); err != nil {
		return nil, refMerge
	}
	out.Source = source
	return out, p.readable(source)
}

func inserts(s *sqlparse.MergeStmt) bool {
	return slices.ContainsFunc(s.MergeWhenClauses, func(n sqlparse.Node) bool {
		return n.GetMergeWhenClause().CommandType == sqlparse.CmdInsert
	})
}

func sourceAlias(n sqlparse.Node) string {
	switch {
	case n.GetRangeVar().GetAlias() != nil:
		return n.GetRangeVar().Alias.Aliasname
	case n.GetRangeVar() != nil:
		return n.GetRangeVar().Relname
	case n.GetRangeSubselect().GetAlias() != nil:
		return n.GetRangeSubselect().Alias.Aliasname
	}
	return ""
}

// mergeKeys are the expressions of the source that ON equates with the target's key columns, in key order; nil where one
// is missing.
func (p *planner) mergeKeys(a *analysis, q *query, r, src *rel, s *sqlparse.MergeStmt) []sqlparse.Node {
	keys := make([]sqlparse.Node, len(r.table.Key))
	for _, n := range conjuncts(s.JoinCondition, nil) {
		e := n.GetAExpr()
		if e == nil || e.Kind != sqlparse.ExprOp || !isEquals(e) || a.env.operatorShadowed() {
			continue
		}
		for _, side := range [][2]sqlparse.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
			c := a.column(side[0], q.scope)
			i := slices.Index(r.table.Key, c.i)
			if c.r == r && i >= 0 && keys[i] == nil && a.onlyOf(side[1], q.scope, src) {
				keys[i] = side[1]
			}
		}
	}
	if slices.Contains(keys, nil) {
		return nil
	}
	return keys
}

// onlyOf reports whether an expression is made of one relation's columns and gives the same each time.
func (a *analysis) onlyOf(n sqlparse.Node, sc *scope, r *rel) bool {
	ok := !a.volatileExpr(n)
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetColumnRef() != nil:
			id, at := sc.lookup(n.GetColumnRef())
			ok = ok && at == sc && id.r == r
		case n.GetSubLink() != nil:
			ok = false
		}
		return ok
	})
	return ok
}

// sameColumn reports whether two expressions are one column of the source, the only relation that WHEN NOT MATCHED sees.
func sameColumn(x, y sqlparse.Node) bool {
	a, b := x.GetColumnRef(), y.GetColumnRef()
	if a == nil || b == nil {
		return false
	}
	p, q := sqlparse.Strings(a.Fields), sqlparse.Strings(b.Fields)
	return len(p) == len(a.Fields) && len(q) == len(b.Fields) && len(p) < 3 && len(q) < 3 && p[len(p)-1] == q[len(q)-1]
}

// insertsKey checks that WHEN NOT MATCHED inserts the key that the row was sent by, and nothing that home alone can evaluate.
func (a *analysis) insertsKey(t *Table, cols, vals []sqlparse.Node, keys []sqlparse.Node) *pgerr.Error {
	positions := columnPositions(t, cols)
	if len(vals) < len(positions) {
		positions = positions[:len(vals)]
	}
	if len(vals) != len(positions) || slices.Contains(positions, -1) {
		return refMerge
	}
	for i, k := range t.Key {
		at := slices.Index(positions, k)
		if at < 0 {
			return refMergeKey
		}
		have, err1 := sqlparse.DeparseExpr(vals[at])
		want, err2 := sqlparse.DeparseExpr(keys[i])
		if err1 != nil || err2 != nil || have != want && !sameColumn(vals[at], keys[i]) {
			return refMergeKey
		}
	}
	if len(a.missing(t, positions, 2)) > 0 {
		return refMerge
	}
	for i, n := range vals {
		if n.GetSetToDefault() != nil && a.evaluatesDefault(t, positions[i], 2) || a.exprFacts(n)&(fnNextval|fnHome|fnTables|fnVolatile|fnServer) != 0 {
			return refMerge
		}
	}
	return nil
}
