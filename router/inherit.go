package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// A SELECT that sorts nothing gives the rows of the one subquery, WITH query or view in its FROM clause in the order that
// this has said: PostgreSQL keeps a subquery with ORDER BY as one, and people rely on it, most of all below LIMIT and
// array_agg.

// sortedBelow is the level whose order this level's rows keep, nil when there is none.
func (q *query) sortedBelow() *query {
	s := q.sel
	if s == nil || len(q.arms) > 0 || len(s.SortClause) > 0 || len(s.FromClause) != 1 || len(q.rels) != 1 ||
		q.grouped || q.aggregates || len(q.windows) > 0 || len(s.DistinctClause) > 0 {
		return nil
	}
	return q.sortedInput()
}

// sorted reports whether the level's rows have an order.
func (q *query) sorted() bool {
	return q.sel != nil && len(q.sel.SortClause) > 0 || q.sortedBelow() != nil
}

// sortedInput is the one query that a level reads, if that gives its rows in an order.
func (q *query) sortedInput() *query {
	if q.sel == nil || len(q.sel.FromClause) != 1 || len(q.rels) != 1 {
		return nil
	}
	if sub := q.rels[0].sub; sub != nil && sub.sorted() {
		return sub
	}
	return nil
}

// orderKey is one column that a query's rows are sorted by.
type orderKey struct {
	col int
	key SortKey
}

// orderKeys are the output columns that the rows of q are sorted by; ok is false where an ORDER BY item is none of them.
func (a *analysis) orderKeys(q *query) (keys []orderKey, ok bool) {
	if q.open {
		return nil, false
	}
	below := q.sortedBelow()
	if below == nil {
		for _, n := range q.sel.SortClause {
			sb := n.GetSortBy()
			key, ok := sortDirection(sb)
			col := a.outputOf(q, sb.Node)
			if !ok || col < 0 {
				return nil, false
			}
			keys = append(keys, orderKey{col, key})
		}
		return keys, true
	}
	inner, ok := a.orderKeys(below)
	if !ok {
		return nil, false
	}
	for _, k := range inner {
		col := -1
		for i, o := range q.out {
			if o.id == (colID{q.rels[0], k.col}) {
				col = i
			}
		}
		if col < 0 {
			return nil, false
		}
		keys = append(keys, orderKey{col, k.key})
	}
	return keys, true
}

// outputOf is the output column that an ORDER BY item means, or is equal to; -1 when there is none.
func (a *analysis) outputOf(q *query, n sqlparse.Node) int {
	if c := n.GetAConst(); c != nil {
		if i := int(c.GetIval().GetIval()); c.GetIval() != nil && i >= 1 && i <= len(q.out) {
			return i - 1
		}
		return -1
	}
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := strings.Join(sqlparse.Strings(ref.Fields), "")
		for i, o := range q.out {
			if name != "" && o.name == name {
				return i
			}
		}
	}
	if len(q.arms) > 0 || a.volatileExpr(n) {
		return -1
	}
	id := a.column(n, q.scope)
	for i, o := range q.out {
		if id.r != nil && o.id == id || o.expr != nil && sqlparse.Same(o.expr, n) {
			return i
		}
	}
	return -1
}

// orderLost reports whether several backends' rows cannot be put into the order that PostgreSQL would give them because of
// a subquery: where the level's aggregates depend on it.
func (a *analysis) orderLost(q *query) bool {
	return (q.aggregates || q.grouped || len(q.windows) > 0) && q.sortedInput() != nil && a.ordersMatter(q.sel)
}

// orderFree are the aggregates whose value does not depend on the order of their input.
var orderFree = wordSet(`count sum avg min max bool_and bool_or every bit_and bit_or bit_xor stddev stddev_pop stddev_samp variance
	var_pop var_samp corr covar_pop covar_samp regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
	regr_syy range_agg range_intersect_agg`)

// ordersMatter reports whether a level calls an aggregate whose value depends on the order of its input, or a window
// function.
func (a *analysis) ordersMatter(s *sqlparse.SelectStmt) bool {
	found := false
	for _, list := range [][]sqlparse.Node{s.TargetList, {s.HavingClause}, s.SortClause} {
		for _, n := range list {
			sqlparse.Walk(n, func(n sqlparse.Node) bool {
				f := n.GetFuncCall()
				if f == nil {
					return !found
				}
				name := sqlparse.Strings(f.Funcname)
				last := name[len(name)-1]
				schema := strings.Join(name[:len(name)-1], "")
				aggregate := a.env.functionFacts(schema, last)&(fnAggregate|fnWindow) != 0
				found = found || f.Over != nil || aggregate && !orderFree[last] && len(f.AggOrder) == 0
				return !found
			})
		}
	}
	return found
}

// inherit sorts by what the subquery is sorted by: hidden columns as for ORDER BY, which is written at the statement's end.
// ok is false where that cannot be said outside of the subquery.
func (p *planner) inherit(a *analysis, q *query, c *clauses, out *Scatter) (ok bool) {
	keys, ok := a.orderKeys(q.sortedBelow())
	if !ok || len(keys) == 0 {
		return false
	}
	var cols, order []string
	for _, k := range keys {
		id := colID{q.rels[0], k.col}
		name, ok := q.inputName(id)
		if !ok || a.baseType(id, 0) >= firstUserOID {
			return false
		}
		for _, s := range a.sortKeys(q, sortItem{name, nil, id}, k.key) {
			out.Sort = append(out.Sort, s)
			cols = append(cols, s.Form.column(name)+" AS pleiad_sort_"+itoa(len(out.Sort)))
		}
		order = append(order, name+k.key.direction())
	}
	at := c.end
	if c.limit.End != 0 {
		at = c.limit.Start
	}
	out.Splices = append(out.Splices, p.hide(q, c, strings.Join(cols, ", "))...)
	out.Splices = append(out.Splices, Splice{Start: at, End: at, With: " ORDER BY " + strings.Join(order, ", ") + " "})
	return true
}

// inputName writes an input column so that it can stand in the target list.
func (q *query) inputName(id colID) (string, bool) {
	for _, it := range q.scope.ns.items {
		for _, c := range it.cols {
			if c.id == id {
				return q.nameOf(outCol{name: c.name, id: id})
			}
		}
	}
	return "", false
}

// direction writes a sort key's direction.
func (k SortKey) direction() string {
	s := ""
	if k.Desc {
		s = " DESC"
	}
	if k.NullsFirst {
		return s + " NULLS FIRST"
	}
	return s + " NULLS LAST"
}
