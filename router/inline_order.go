package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// surroundings are what of a statement decides how often a call in it is evaluated, and whether its rows' order is seen.
type surroundings struct {
	// once is true where an expression of the statement is evaluated once, from where the only item of its FROM is.
	once, from bool
	// top is the query whose rows the statement gives or writes in the order in which they come.
	top *sqlparse.SelectStmt
	// single is true where top is the statement's only query, and its FROM has one item.
	single bool
	// hoisted is the ORDER BY of the only item's function, by the places of its columns.
	hoisted []hoistedSort
}

type hoistedSort struct {
	column int
	by     *sqlparse.SortBy
}

// surroundingsOf looks at a statement before any call in it is replaced.
func (e *Env) surroundingsOf(n sqlparse.Node) (out surroundings) {
	selects := 0
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if n.GetSelectStmt() != nil {
			selects++
		}
		return true
	})
	top, ins := n.GetSelectStmt(), n.GetInsertStmt()
	if ins != nil {
		top = ins.SelectStmt.GetSelectStmt()
	}
	if top == nil {
		return out
	}
	alone := selects == 1 && (ins == nil || ins.OnConflictClause == nil && len(ins.ReturningList) == 0)
	out.once = alone && (onlyTargets(top) || ins != nil && len(top.ValuesLists) > 0)
	out.from = alone && len(top.FromClause) == 1 && top.FromClause[0].GetRangeFunction() != nil
	out.single = selects == 1 && len(top.FromClause) == 1 && top.FromClause[0].GetRangeFunction() != nil && len(top.LockingClause) == 0
	ordered := len(top.SortClause) == 0 && len(top.GroupClause) == 0
	sqlparse.WalkList(top.TargetList, func(n sqlparse.Node) bool {
		f := n.GetFuncCall()
		ordered = ordered && !(f != nil && e.isAggregate(n))
		if f != nil {
			schema, name := listName(f.Funcname)
			out.single = out.single && f.Over == nil && e.functionFacts(schema, name)&(fnSRF|fnUnknown) == 0
		}
		return true
	})
	out.single = out.single && len(top.DistinctClause) == 0
	if ordered {
		out.top = top
	}
	return out
}

// repeated reports whether an argument might give another value each time it is evaluated, where a call's place evaluates it
// more often than a subquery that stands there: once a row, and not once a statement.
func (in *inliner) repeated(args []sqlparse.Node, once bool) bool {
	return !once && slices.ContainsFunc(args, func(n sqlparse.Node) bool {
		return (&analysis{env: in.env}).exprFacts(n)&fnRepeats != 0
	})
}

// keepOrder keeps the order of the rows of a function whose body is sorted: as the statement's own order where that can be
// told by the function's columns, else by keeping the body apart from the rest.
func (in *inliner) keepOrder(b *inlinedBody, cols []Argument) {
	s := b.sel
	if in.around.top == nil || len(s.SortClause) == 0 || s.LimitCount != nil || s.LimitOffset != nil {
		return
	}
	if in.around.single && b.typed(cols) {
		var hoisted []hoistedSort
		for _, n := range s.SortClause {
			by := n.GetSortBy()
			at := sortedColumn(b, by.GetNode())
			if at < 0 || by.SortbyDir == sqlparse.SortUsing {
				break
			}
			hoisted = append(hoisted, hoistedSort{at, by})
		}
		if len(hoisted) == len(s.SortClause) {
			in.around.hoisted = hoisted
			return
		}
	}
	s.LimitOffset, s.LimitOption = sqlparse.Integer(0), sqlparse.LimitCountOption
}

// sortedColumn is the output column that an expression of ORDER BY is, -1 for none.
func sortedColumn(b *inlinedBody, n sqlparse.Node) int {
	if c := n.GetAConst(); c != nil && c.GetIval() != nil {
		if at := int(c.GetIval().Ival) - 1; at < len(b.q.out) {
			return at
		}
		return -1
	}
	ref := n.GetColumnRef()
	if ref == nil || len(ref.Fields) != 1 || len(b.sel.TargetList) != len(b.q.out) {
		return -1
	}
	found := -1
	for i, o := range b.q.out {
		if names := sqlparse.Strings(ref.Fields); len(names) == 1 && o.name == names[0] {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// hoist gives the statement the order of its only function's rows.
func (in *inliner) hoist(alias string, names []string) {
	for _, h := range in.around.hoisted {
		in.around.top.SortClause = append(in.around.top.SortClause, sqlparse.OrderBy(h.by, sqlparse.Column(alias, names[h.column])))
	}
	in.around.hoisted = nil
}
