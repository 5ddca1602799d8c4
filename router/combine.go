package router

import "github.com/pleiad/pleiad/router/sqlparse"

// combiners are aggregates whose value over all rows follows exactly from their values over parts of the rows, and the
// aggregate of the parts. sum stands for exact types alone: the executor sees the type and refuses floats.
var combiners = map[string]string{
	"count": "sum", "sum": "sum", "min": "min", "max": "max",
	"bool_and": "bool_and", "every": "bool_and", "bool_or": "bool_or", "bit_and": "bit_and", "bit_or": "bit_or",
}

// combinable gives the combining aggregates of a query that has nothing but such aggregates in its target list: one row
// of the whole. nil for every other query.
func (a *analysis) combinable(q *query) []Combine {
	s := q.sel
	switch {
	case s == nil || len(q.arms) > 0 || !q.aggregates || q.outerAggregate || len(q.windows) > 0 || q.targetFacts&fnSRF != 0,
		len(s.GroupClause) > 0 || s.HavingClause != nil || len(s.DistinctClause) > 0 || len(s.SortClause) > 0,
		s.LimitCount != nil || s.LimitOffset != nil || len(s.LockingClause) > 0 || len(s.TargetList) == 0,
		len(q.subs) > 0:
		return nil
	}
	out := make([]Combine, 0, len(s.TargetList))
	for _, n := range s.TargetList {
		f := n.GetResTarget().GetVal().GetFuncCall()
		if f == nil || f.AggDistinct || f.AggWithinGroup || len(f.AggOrder) > 0 || f.Over != nil || f.FuncVariadic {
			return nil
		}
		name := sqlparse.Strings(f.Funcname)
		if len(name) == 2 && name[0] == "pg_catalog" {
			name = name[1:]
		}
		if len(name) != 1 || combiners[name[0]] == "" || len(f.Args) > 1 || len(a.env.Schema.Functions[name[0]]) > 0 {
			return nil
		}
		c := Combine{Func: combiners[name[0]]}
		if len(f.Args) == 1 {
			c.Collation = a.collationOf(f.Args[0], a.column(f.Args[0], q.scope), q.scope)
		}
		out = append(out, c)
	}
	return out
}
