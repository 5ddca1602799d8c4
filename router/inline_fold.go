package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// PostgreSQL computes expressions of constants and bound parameters once, when it plans, also where no row ever needs them:
// 10 / 0 fails there. In a function's body in SQL its arguments are neither (init_sql_fcache plans without their values), so
// that such an expression is computed for rows alone. Since 18 they are, in the plans of a call's first few runs.

// plansWithValues is the major version since which a function's body in SQL is planned with the values of its arguments.
const plansWithValues = 18

// folds reports whether an expression of arguments and constants alone, at least one argument among them, stands in a query.
// of gives the number of the argument that a reference means, from 0; -1 for columns.
func (e *Env) folds(n sqlparse.Node, of func(*sqlparse.ColumnRef) int) bool {
	return e.computesArguments(n, of, func(sqlparse.Node) bool { return true })
}

// mayFail reports whether an expression that folds finds stands in a query and may be an error for some arguments.
func (e *Env) mayFail(n sqlparse.Node, of func(*sqlparse.ColumnRef) int) bool {
	return e.computesArguments(n, of, func(n sqlparse.Node) bool { return !e.neverFails(n) })
}

// computesArguments finds such an expression that counts.
func (e *Env) computesArguments(n sqlparse.Node, of func(*sqlparse.ColumnRef) int, counts func(sqlparse.Node) bool) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case found:
			return false
		case computes(n):
			found = !e.isAggregate(n) && onlyArguments(n, of) && counts(n)
		case n.GetResTarget() != nil:
			found = isArgument(n.GetResTarget().Val, of) // which is cast to another type, perhaps
		}
		return !found
	})
	return found
}

// neverFails is true of comparisons, and of a few functions of texts.
func (e *Env) neverFails(n sqlparse.Node) bool {
	switch {
	case n.GetAExpr() != nil:
		name := sqlparse.Strings(n.GetAExpr().Name)
		return n.GetAExpr().Kind == sqlparse.ExprOp && len(name) == 1 && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">=", "||"}, name[0]) &&
			!e.operatorShadowed()
	case n.GetFuncCall() != nil:
		schema, name := listName(n.GetFuncCall().Funcname)
		return len(e.Schema.Functions[name]) == 0 && (schema == "" || schema == "pg_catalog") && textFunctions[name]
	}
	return n.GetCoalesceExpr() != nil || n.GetMinMaxExpr() != nil || n.GetCaseExpr() != nil
}

var textFunctions = wordSet("lower upper length char_length btrim ltrim rtrim concat")

// notConstant is true of an argument that a call does not give as a constant or a parameter.
func notConstant(n sqlparse.Node) bool {
	if c := n.GetTypeCast(); c != nil {
		n = c.Arg
	}
	return n.GetAConst() == nil && n.GetParamRef() == nil
}

// computes is true of nodes that may call a function.
func computes(n sqlparse.Node) bool {
	return n.GetAExpr() != nil || n.GetFuncCall() != nil || n.GetTypeCast() != nil || n.GetCoalesceExpr() != nil || n.GetMinMaxExpr() != nil ||
		n.GetAArrayExpr() != nil || n.GetRowExpr() != nil || n.GetCaseExpr() != nil || n.GetAIndirection() != nil || n.GetXmlExpr() != nil
}

func isArgument(n sqlparse.Node, of func(*sqlparse.ColumnRef) int) bool {
	return n.GetParamRef() != nil || n.GetColumnRef() != nil && of(n.GetColumnRef()) >= 0
}

func onlyArguments(n sqlparse.Node, of func(*sqlparse.ColumnRef) int) bool {
	arguments, others := false, false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case isArgument(n, of):
			arguments = true
		case n.GetColumnRef() != nil || n.GetSelectStmt() != nil:
			others = true
		}
		return !others
	})
	return arguments && !others
}

// foldsInStatement is folds for a statement of a function in SQL whose arguments become bound parameters. What an INSERT of
// values or a SELECT without FROM computes, it computes in any case.
func (e *Env) foldsInStatement(n sqlparse.Node, names *programNames, types []ProgramVar, of func(*sqlparse.ColumnRef) int) bool {
	sel := n.GetSelectStmt()
	if ins := n.GetInsertStmt(); ins != nil && ins.OnConflictClause == nil {
		sel = ins.SelectStmt.GetSelectStmt()
	}
	if sel != nil && len(sel.FromClause) == 0 && sel.WhereClause == nil && sel.Op == sqlparse.SetNone && !hasSubquery(sel.TargetList) && sel.WithClause == nil {
		return false
	}
	up := n.GetUpdateStmt()
	if up == nil {
		return e.folds(n, of)
	}
	// SET column = argument computes nothing where the types are the same.
	t, _ := e.resolve(up.Relation)
	rest := sqlparse.Clone(n).GetUpdateStmt()
	rest.TargetList = nil
	for _, item := range up.TargetList {
		rt := item.GetResTarget()
		at := -1
		switch {
		case rt.GetVal().GetColumnRef() != nil:
			at = of(rt.Val.GetColumnRef())
		case rt.GetVal().GetParamRef() != nil:
			at = int(rt.Val.GetParamRef().Number) - 1
		}
		if at < 0 || at >= len(types) {
			if e.folds(item, of) {
				return true
			}
			continue
		}
		i := -1
		if t != nil {
			i = slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == rt.Name })
		}
		if i < 0 || t.Columns[i].TypeName != types[at].Type {
			return true
		}
	}
	byName := func(ref *sqlparse.ColumnRef) int { // the clone's references are others
		parts := sqlparse.Strings(ref.Fields)
		if len(parts) == 0 {
			return -1
		}
		return names.index(parts[len(parts)-1])
	}
	return e.folds(sqlparse.UpdateNode(rest), byName)
}

// aggregatesArguments reports whether an aggregate's own expressions name arguments and no column.
func (e *Env) aggregatesArguments(n sqlparse.Node, of func(*sqlparse.ColumnRef) int) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		found = found || e.isAggregate(n) && onlyArguments(n, of)
		return !found
	})
	return found
}

func (e *Env) isAggregate(n sqlparse.Node) bool {
	f := n.GetFuncCall()
	if f == nil || f.Over != nil {
		return isJSONAggregate(n)
	}
	schema, name := listName(f.Funcname)
	return e.functionFacts(schema, name)&(fnAggregate|fnUnknown) != 0
}
