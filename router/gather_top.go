package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// top is ORDER BY and LIMIT for the rows that are fetched of a relation, "" where all of them are needed: of a subquery
// that does nothing else with the relation than to take its first rows, no backend has more of them than that. The rows
// are sorted and counted again with the others'. applied is how many conditions the backend applies.
func (b *gatherBuilder) top(r *rel, alias string, applied int) string {
	q := r.level
	if q == nil || q.sel == nil || b.p.env.NoMerge || b.p.env.operatorShadowed() {
		return ""
	}
	s := q.sel
	switch {
	case len(s.SortClause) == 0 || s.LimitCount == nil || s.LimitOption == sqlparse.LimitWithTies || len(q.arms) > 0 || q.dml,
		len(s.FromClause) != 1 || s.FromClause[0].GetRangeVar() == nil || len(q.rels) != 1 || q.rels[0] != r || len(q.subs) > 0,
		q.grouped || q.aggregates || len(q.windows) > 0 || len(s.DistinctClause) > 0 || q.targetFacts&fnSRF != 0,
		applied != len(wanted(s.WhereClause)):
		return ""
	}
	var keys []string
	for _, n := range s.SortClause {
		sb := n.GetSortBy()
		node := q.sortNode(sb)
		key, ok := sortDirection(sb)
		if !ok || node == nil || !b.ahead(node, q.scope, r) {
			return ""
		}
		sql, err := sqlparse.DeparseExpr(node)
		if err != nil {
			return ""
		}
		if ref := node.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
			// A bare name would be an output column's first: a NULL in the place of another part's value is called like its type.
			sql = alias + "." + quoteIdent(strings.Join(sqlparse.Strings(ref.Fields), ""))
		}
		b.literals = b.literals || hasConstants(node)
		keys = append(keys, "("+sql+")"+key.direction())
	}
	var counts []string
	for _, n := range []sqlparse.Node{s.LimitCount, s.LimitOffset} {
		if n == nil {
			continue
		}
		sql, err := sqlparse.DeparseExpr(n)
		if err != nil || n.GetAConst().GetIval() == nil && n.GetParamRef() == nil {
			return ""
		}
		b.literals = b.literals || b.p.lifted(n)
		counts = append(counts, "("+sql+")::pg_catalog.int8")
	}
	return " ORDER BY " + strings.Join(keys, ", ") + " LIMIT " + strings.Join(counts, " + ")
}

// lifted reports whether a literal is none of those that the plan's key keeps.
func (p *planner) lifted(n sqlparse.Node) bool {
	c := n.GetAConst()
	return c != nil && slices.ContainsFunc(p.lits, func(l sqlparse.Literal) bool { return l.Start == int(c.Location) })
}

// wanted are the conjuncts of a condition, none of none.
func wanted(n sqlparse.Node) []sqlparse.Node {
	if n == nil {
		return nil
	}
	return conjuncts(n, nil)
}

// sortNode is the expression that an ORDER BY item means; nil where that is a column of a star.
func (q *query) sortNode(sb *sqlparse.SortBy) sqlparse.Node {
	n := sb.Node
	if c := n.GetAConst(); c != nil {
		if i := int(c.GetIval().GetIval()); c.GetIval() != nil && i >= 1 && i <= len(q.out) && !q.open {
			return q.out[i-1].expr
		}
		return nil
	}
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := strings.Join(sqlparse.Strings(ref.Fields), "")
		if i := slices.IndexFunc(q.out, func(o outCol) bool { return o.name == name && o.expr != nil }); i >= 0 {
			return q.out[i].expr
		}
	}
	return n
}
