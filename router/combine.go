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
			c.Collation = a.collationOf(f.Args[0], a.column(f.Args[0], q.scope))
		}
		out = append(out, c)
	}
	return out
}

// collationOf is sortCollation, and the default collation where an expression can have no other: every column at hand has
// that or none, nothing says COLLATE, and no function of a user's is called, which may have its own.
func (a *analysis) collationOf(n sqlparse.Node, id colID) string {
	if c := sortCollation(n, id); c != "" {
		return c
	}
	if id.r != nil {
		return "" // a column without a collation, or of a subquery
	}
	for _, r := range a.rels {
		for _, c := range r.table.Columns {
			if c.Collation != "" && c.Collation != "default" {
				return ""
			}
		}
	}
	plain := true
	for _, t := range sqlparse.Tokens(a.text) {
		plain = plain && t.Word != "collate"
	}
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetFuncCall() != nil:
			name := sqlparse.Strings(n.GetFuncCall().Funcname)
			plain = plain && len(name) > 0 && len(a.env.Schema.Functions[name[len(name)-1]]) == 0
		case n.GetSubLink() != nil:
			plain = false
		case n.GetTypeCast() != nil:
			// A user's domain may have a collation of its own.
			plain = plain && builtinName(n.GetTypeCast().TypeName)
		}
		return plain
	})
	if !plain {
		return ""
	}
	return "default"
}

// builtinName reports whether a type's name is one of the built-in types that name no collation of their own.
func builtinName(t *sqlparse.TypeName) bool {
	if t == nil {
		return false
	}
	names := sqlparse.Strings(t.Names)
	return len(names) > 0 && typeOIDs[names[len(names)-1]] != 0 && names[len(names)-1] != "name"
}
