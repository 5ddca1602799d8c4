package sqlparse

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// RangeFunction is a function in FROM.
type RangeFunction = pg_query.RangeFunction

// LimitCountOption is a LIMIT without ties.
const LimitCountOption = pg_query.LimitOption_LIMIT_OPTION_COUNT

// FuncCallNode wraps a call as a node.
func FuncCallNode(f *FuncCall) Node {
	return &pg_query.Node{Node: &pg_query.Node_FuncCall{FuncCall: f}}
}

// SubLinkNode is (SELECT …) as an expression.
func SubLinkNode(s *SelectStmt) Node {
	return &pg_query.Node{Node: &pg_query.Node_SubLink{SubLink: &SubLink{SubLinkType: SubExpr, Subselect: SelectNode(s)}}}
}

// SubqueryNode is (SELECT …) AS alias (columns) in FROM.
func SubqueryNode(s *SelectStmt, alias string, columns []string, lateral bool) Node {
	a := &Alias{Aliasname: alias}
	for _, c := range columns {
		a.Colnames = append(a.Colnames, pg_query.MakeStrNode(c))
	}
	return &pg_query.Node{Node: &pg_query.Node_RangeSubselect{RangeSubselect: &pg_query.RangeSubselect{
		Lateral: lateral, Subquery: SelectNode(s), Alias: a,
	}}}
}

// UnlessNode is CASE WHEN NOT cond THEN NULL ELSE n END: PostgreSQL names it as it names n.
func UnlessNode(cond, n Node) Node {
	not := pg_query.MakeBoolExprNode(pg_query.BoolExprType_NOT_EXPR, []*pg_query.Node{cond}, -1)
	null := &pg_query.Node{Node: &pg_query.Node_AConst{AConst: &AConst{Isnull: true}}}
	return &pg_query.Node{Node: &pg_query.Node_CaseExpr{CaseExpr: &pg_query.CaseExpr{
		Args: []*pg_query.Node{pg_query.MakeCaseWhenNode(not, null, -1)}, Defresult: n,
	}}}
}

// ParamNode is $n.
func ParamNode(n int) Node { return pg_query.MakeParamRefNode(int32(n), -1) }

// Same reports whether two trees are the same but for locations.
func Same(a, b Node) bool { return sameTree(a.ProtoReflect(), b.ProtoReflect()) }

// Integer is an integer constant.
func Integer(n int64) Node { return pg_query.MakeAConstIntNode(n, -1) }

// Operation is l op r.
func Operation(op string, l, r Node) Node {
	return pg_query.MakeAExprNode(pg_query.A_Expr_Kind_AEXPR_OP, []*pg_query.Node{pg_query.MakeStrNode(op)}, l, r, -1)
}

// LeftJoinNode is l LEFT JOIN r ON true.
func LeftJoinNode(l, r Node) Node {
	yes := &pg_query.Node{Node: &pg_query.Node_AConst{AConst: &AConst{Val: &pg_query.A_Const_Boolval{Boolval: &pg_query.Boolean{Boolval: true}}}}}
	return pg_query.MakeJoinExprNode(JoinLeft, l, r, yes)
}
