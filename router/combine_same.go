package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// combineSame plans a query whose one row is made of plain aggregates over all rows: every backend runs the client's own
// text, which costs the fewest round trips. nil for every other query.
func (p *planner) combineSame(a *analysis, q *query) *Scatter {
	sel := q.sel
	switch {
	case sel == nil || len(q.arms) > 0 || !q.aggregates || len(q.windows) > 0 || q.targetFacts&fnSRF != 0 || p.from != 0,
		len(sel.GroupClause) > 0 || sel.HavingClause != nil || len(sel.DistinctClause) > 0 || len(sel.SortClause) > 0,
		sel.LimitCount != nil || sel.LimitOffset != nil || len(sel.LockingClause) > 0 || q.sample, a.env.operatorShadowed(),
		q.targetFacts&fnClock != 0 || len(q.out) != len(sel.TargetList):
		return nil
	}
	var same []string
	for _, n := range sel.TargetList {
		name := a.plainAggregate(q, n.GetResTarget().GetVal().GetFuncCall())
		if name == "" {
			return nil
		}
		same = append(same, name)
	}
	d := a.distributor()
	s, err := d.from(q)
	if err != nil || !s.sharded || d.sublinks(q, s) != nil {
		return nil
	}
	return &Scatter{Combine: &Combine{Same: same}}
}

// plainAggregate gives an aggregate's name if its values combine by an aggregate of one of its own values, whose type is
// known to travel; "" else.
func (a *analysis) plainAggregate(q *query, f *sqlparse.FuncCall) string {
	if f == nil || f.AggDistinct || f.AggWithinGroup || len(f.AggOrder) > 0 || f.Over != nil || f.FuncVariadic {
		return ""
	}
	name := sqlparse.Strings(f.Funcname)
	if len(name) == 2 && name[0] == "pg_catalog" {
		name = name[1:]
	}
	if len(name) != 1 || len(a.env.Schema.Functions[name[0]]) > 0 {
		return ""
	}
	nested := slices.ContainsFunc(f.Args, func(n sqlparse.Node) bool { return n.GetRowExpr() != nil })
	switch kind, ok := partKinds[name[0]]; {
	case !ok || nested:
	case kind == PartCount:
		return "count"
	case len(f.Args) != 1:
	case kind == PartSum:
		return "sum"
	case kind == PartSelf && name[0] != "min" && name[0] != "max":
		return name[0]
	case kind == PartSelf:
		id := a.column(f.Args[0], q.scope)
		t, ok := partTypes[a.baseType(id, 0)]
		if ok && !t.array && (!t.collatable || a.collationOf(f.Args[0], id, q.scope) == "default") {
			return name[0]
		}
	}
	return ""
}
