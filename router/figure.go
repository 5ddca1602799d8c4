package router

import "github.com/pleiad/pleiad/router/sqlparse"

// figureName is the name PostgreSQL gives an unnamed output column, and how sure of it PostgreSQL is
// (FigureColnameInternal in parse_target.c). ok is false for shapes that are not read here.
func figureName(n sqlparse.Node) (name string, strength int, ok bool) {
	last := func(list []sqlparse.Node) (string, int, bool) {
		names := sqlparse.Strings(list)
		if len(names) == 0 {
			return "", 0, false
		}
		return names[len(names)-1], 2, true
	}
	weaker := func(arg sqlparse.Node, own string) (string, int, bool) {
		name, strength, ok := "", 0, true
		if arg != nil {
			name, strength, ok = figureName(arg)
		}
		if strength <= 1 {
			return own, 1, ok
		}
		return name, strength, ok
	}
	switch {
	case n.GetColumnRef() != nil && !hasStar(n.GetColumnRef().Fields):
		return last(n.GetColumnRef().Fields)
	case n.GetAIndirection() != nil:
		if list := n.GetAIndirection().Indirection; !hasStar(list) {
			if name, strength, ok = last(list); ok {
				return name, strength, ok
			}
			return figureName(n.GetAIndirection().Arg)
		}
	case n.GetSubLink() != nil:
		return sublinkName(n.GetSubLink())
	case n.GetGroupingFunc() != nil:
		return "grouping", 2, true
	case n.GetRowExpr() != nil:
		return "row", 2, true
	case n.GetAArrayExpr() != nil:
		return "array", 2, true
	case n.GetFuncCall() != nil:
		return last(n.GetFuncCall().Funcname)
	case n.GetTypeCast() != nil:
		own, _, ok := last(n.GetTypeCast().TypeName.GetNames())
		if !ok {
			return "", 0, false
		}
		return weaker(n.GetTypeCast().Arg, own)
	case n.GetCaseExpr() != nil:
		return weaker(n.GetCaseExpr().Defresult, "case")
	case n.GetCoalesceExpr() != nil:
		return "coalesce", 2, true
	case n.GetMinMaxExpr() != nil:
		if n.GetMinMaxExpr().Op == sqlparse.MinMaxLeast {
			return "least", 2, true
		}
		return "greatest", 2, true
	case n.GetCollateClause() != nil:
		return figureName(n.GetCollateClause().Arg)
	case n.GetAExpr() != nil && n.GetAExpr().Kind == sqlparse.ExprNullIf:
		return "nullif", 2, true
	case n.GetAExpr() != nil, n.GetAConst() != nil, n.GetParamRef() != nil, n.GetBoolExpr() != nil, n.GetNullTest() != nil, n.GetBooleanTest() != nil:
		return "?column?", 0, true
	}
	return "", 0, false
}

// sublinkName is the name of a subquery's value: its output's.
func sublinkName(sl *sqlparse.SubLink) (name string, strength int, ok bool) {
	switch sl.SubLinkType {
	case sqlparse.SubExists:
		return "exists", 2, true
	case sqlparse.SubArray:
		return "array", 2, true
	case sqlparse.SubExpr:
		targets := sl.Subselect.GetSelectStmt().GetTargetList()
		if len(targets) != 1 {
			return "", 0, false
		}
		rt := targets[0].GetResTarget()
		if rt.GetName() != "" {
			return rt.Name, 2, true
		}
		name, _, ok = figureName(rt.GetVal())
		return name, 2, ok
	}
	return "?column?", 0, true
}
