package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// expr reads an expression: the functions it calls are added to facts, its subqueries become sublinks of q.
func (a *analysis) expr(q *query, n sqlparse.Node, sc *scope, facts *fnFacts) {
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if f := a.env.unnamed(n); f != 0 {
			*facts |= f
			a.reached(f)
		}
		switch {
		case n.GetSubLink() != nil:
			a.subLink(q, n.GetSubLink(), sc, facts)
			return false
		case n.GetSelectStmt() != nil:
			// ARRAY(SELECT …) and its kin in shapes of their own.
			q.subs = append(q.subs, &sublink{q: a.query(n.GetSelectStmt(), sc)})
			return false
		case n.GetFuncCall() != nil:
			*facts |= a.call(q, n, sc)
		case n.GetParamRef() != nil:
			a.params.see(n.GetParamRef())
			a.seeTime(n)
		case n.GetAConst() != nil:
			a.seeTime(n)
		case n.GetTypeCast() != nil:
			a.placeCast(n)
			a.placeTimeCast(n.GetTypeCast())
			*facts |= a.nameCast(n.GetTypeCast())
		case n.GetAExpr() != nil:
			a.placeComparison(n.GetAExpr(), sc)
			a.placeTimeOperator(n.GetAExpr(), sc)
		case n.GetSqlvalueFunction() != nil:
			*facts |= a.valueFunction(n)
		case n.GetColumnRef() != nil:
			*facts |= a.attribute(n.GetColumnRef(), sc)
			a.systemColumn(q, n.GetColumnRef(), sc)
		case n.GetCurrentOfExpr() != nil:
			a.single(refCurrentOf)
		case isJSONAggregate(n):
			*facts |= fnAggregate
			a.aggregate(q, n, sc)
		}
		return true
	})
}

// isJSONAggregate is true of the SQL/JSON constructors that aggregate (PostgreSQL 16).
func isJSONAggregate(n sqlparse.Node) bool {
	return n.GetJsonObjectAgg() != nil || n.GetJsonArrayAgg() != nil
}

// subLink reads a subquery in an expression.
func (a *analysis) subLink(q *query, sl *sqlparse.SubLink, sc *scope, facts *fnFacts) {
	if sl.Testexpr != nil {
		a.expr(q, sl.Testexpr, sc, facts)
	}
	sel := sl.Subselect.GetSelectStmt()
	if sel == nil {
		a.refuse(refStatement)
		return
	}
	s := &sublink{q: a.query(sel, sc)}
	if s.q.outerAggregate {
		q.outerAggregate = true
	}
	if sl.SubLinkType == sqlparse.SubAny && len(sl.OperName) == 0 {
		s.in = true
		for _, l := range rowFields(sl.Testexpr) {
			s.left = append(s.left, a.column(l, sc))
		}
	}
	q.subs = append(q.subs, s)
	if a.sublinks == nil {
		a.sublinks = map[*sqlparse.SubLink]*sublink{}
	}
	a.sublinks[sl] = s
}

func rowFields(n sqlparse.Node) []sqlparse.Node {
	if row := n.GetRowExpr(); row != nil {
		return row.Args
	}
	return []sqlparse.Node{n}
}

// semiJoin notes what "x IN (SELECT y …)" restricts when it stands as a conjunct: the outer rows to the subquery's
// values, and the subquery's rows to the outer ones.
func (a *analysis) semiJoin(q *query, sl *sqlparse.SubLink, dom []*rel) {
	s := a.sublinks[sl]
	if s == nil || !s.in || len(s.left) != len(s.q.out) || s.q.open {
		return
	}
	for i, l := range s.left {
		if l.r == nil {
			continue
		}
		// The subquery's output is a relation of its own, so that the usual links and edges apply.
		out := colID{&rel{sub: s.q, level: q}, i}
		a.link(out, s.q, i)
		a.edges = append(a.edges, edge{l, out})
		for _, d := range dom {
			if d == l.r {
				a.edges = append(a.edges, edge{out, l})
			}
		}
	}
}

// call reads one function call.
func (a *analysis) call(q *query, n sqlparse.Node, sc *scope) fnFacts {
	f := n.GetFuncCall()
	name := sqlparse.Strings(f.Funcname)
	if len(name) == 0 || len(name) > 2 {
		a.fn |= fnUnknown
		return fnUnknown
	}
	schema, fn := "", name[len(name)-1]
	if len(name) == 2 {
		schema = name[0]
	}
	facts := a.env.functionFacts(schema, fn)
	switch {
	case fn == "age" && len(f.Args) == 2:
		facts &^= fnClock
	case fn == "ts_rewrite" && len(f.Args) == 3: // the other one runs a query
		facts &^= fnDynamic
	case fn == "set_config" && facts&fnPins != 0:
		a.setConfig++
		if isLocalTrue(f.Args) {
			facts = facts&^fnPins | fnVolatile | fnHome
		}
	}
	if f.Over != nil {
		facts &^= fnAggregate
	} else if facts&fnAggregate != 0 {
		a.aggregate(q, n, sc)
	}
	a.hiddenClock = a.hiddenClock || a.foreign > 0 && facts&fnClock != 0
	a.fn |= facts
	return facts
}

func isLocalTrue(args []sqlparse.Node) bool {
	if len(args) != 3 {
		return false
	}
	c := args[2].GetAConst()
	return c != nil && c.GetBoolval() != nil && c.GetBoolval().Boolval
}

// aggregate notes an aggregate of the level; one whose columns are all of outer levels may belong to one of those
// (check_agg_arguments in parse_agg.c). What a subquery in it names may be of any level.
func (a *analysis) aggregate(q *query, n sqlparse.Node, sc *scope) {
	q.aggregates = true
	if sc.parent == nil {
		return
	}
	columns, own := 0, 0
	inside := func(n sqlparse.Node) bool {
		if n.GetColumnRef() != nil {
			columns++
		}
		return true
	}
	beside := func(n sqlparse.Node) bool {
		switch ref := n.GetColumnRef(); {
		case n.GetSubLink() != nil:
			sqlparse.Walk(n.GetSubLink().Testexpr, inside)
			sqlparse.Walk(n.GetSubLink().Subselect, inside)
			return false
		case ref != nil:
			columns++
			if at := sc.levelOf(ref); at != nil && at.level == q {
				own++
			}
		}
		return true
	}
	if f := n.GetFuncCall(); f != nil {
		sqlparse.WalkList(f.Args, beside)
		sqlparse.WalkList(f.AggOrder, beside)
		sqlparse.Walk(f.AggFilter, beside)
	} else {
		sqlparse.Walk(n, beside)
	}
	if columns > 0 && own == 0 {
		q.outerAggregate = true
	}
}

// valueFunction reads CURRENT_TIMESTAMP, CURRENT_USER and their kin (SQLValueFunctionOp).
func (a *analysis) valueFunction(n sqlparse.Node) fnFacts {
	facts := fnClock
	switch op := n.GetSqlvalueFunction().Op; {
	case op >= sqlparse.ValueRole && op <= sqlparse.ValueCatalog:
		facts = fnStable
	case op == sqlparse.ValueSchema:
		facts = fnServer
	}
	a.hiddenClock = a.hiddenClock || a.foreign > 0 && facts&fnClock != 0
	a.fn |= facts
	return facts
}

// systemColumn notes system columns of sharded tables, tableoid wherever it is, and whether the level is correlated: every column reference comes by here.
func (a *analysis) systemColumn(q *query, ref *sqlparse.ColumnRef, sc *scope) {
	if a.seen != nil {
		a.seen(ref, sc)
	}
	if a.unit != nil {
		if a.refs == nil {
			a.refs = map[*sqlparse.ColumnRef][]*scope{}
		}
		a.refs[ref] = append(a.refs[ref], sc)
	}
	at := sc.levelOf(ref)
	for s := sc; s != nil && (at == nil || s.level != at.level); s = s.parent {
		if s.level != nil {
			s.level.escapes = true
		}
	}
	if at == nil || at.level != q {
		q.correlated = q.correlated || sc.parent != nil
	}
	parts := sqlparse.Strings(ref.Fields)
	if len(parts) > 0 && parts[len(parts)-1] == "tableoid" {
		q.tableOID = true
		a.tableOID = true
	}
	if at == nil {
		noteSystemColumn(parts, sc)
	}
}

// noteSystemColumn notes the relations whose system column a reference that names no column may be: those of the name in the
// nearest level that has some, or all where it has none.
func noteSystemColumn(parts []string, sc *scope) {
	if len(parts) == 0 || !slices.Contains(systemColumns, parts[len(parts)-1]) {
		return
	}
	for found := false; sc != nil && !found; sc = sc.parent {
		if sc.ns == nil {
			continue
		}
		for _, it := range sc.ns.items {
			if it.rel != nil && it.rel.table != nil && (len(parts) == 1 || it.name == parts[len(parts)-2]) {
				it.rel.hidden, found = true, true
			}
		}
	}
}
