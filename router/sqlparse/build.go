package sqlparse

import (
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// Cast is expr::typ.
func Cast(expr Node, typ string) (Node, error) {
	n, err := ParseExpr("NULL::" + typ)
	if err != nil {
		return nil, err
	}
	cast := n.GetTypeCast()
	if cast == nil {
		return nil, &SyntaxError{Message: "not a type"}
	}
	cast.Arg = expr
	return n, nil
}

// Target is one name of an INSERT's column list.
func Target(name string) Node {
	return &pg_query.Node{Node: &pg_query.Node_ResTarget{ResTarget: &pg_query.ResTarget{Name: name}}}
}

// Output is one expression of a target list.
func Output(expr Node) Node {
	return &pg_query.Node{Node: &pg_query.Node_ResTarget{ResTarget: &pg_query.ResTarget{Val: expr}}}
}

// Column is a column reference, qualified from the left; the name "" is a star.
func Column(names ...string) Node {
	ref := &pg_query.ColumnRef{}
	for _, n := range names {
		if n == "" {
			ref.Fields = append(ref.Fields, &pg_query.Node{Node: &pg_query.Node_AStar{AStar: &pg_query.A_Star{}}})
			continue
		}
		ref.Fields = append(ref.Fields, pg_query.MakeStrNode(n))
	}
	return &pg_query.Node{Node: &pg_query.Node_ColumnRef{ColumnRef: ref}}
}

// Range is a relation in FROM, with an alias and names for its columns.
func Range(name, alias string, columns []string) Node {
	a := &pg_query.Alias{Aliasname: alias}
	for _, c := range columns {
		a.Colnames = append(a.Colnames, pg_query.MakeStrNode(c))
	}
	rv := &pg_query.RangeVar{Relname: name, Inh: true, Relpersistence: "p", Alias: a}
	return &pg_query.Node{Node: &pg_query.Node_RangeVar{RangeVar: rv}}
}

// OrderBy is an item of ORDER BY with another expression.
func OrderBy(by *SortBy, expr Node) Node {
	return &pg_query.Node{Node: &pg_query.Node_SortBy{SortBy: &pg_query.SortBy{
		Node: expr, SortbyDir: by.SortbyDir, SortbyNulls: by.SortbyNulls, UseOp: by.UseOp,
	}}}
}

// Assign is one assignment of an UPDATE.
func Assign(name string, expr Node) Node {
	return &pg_query.Node{Node: &pg_query.Node_ResTarget{ResTarget: &pg_query.ResTarget{Name: name, Val: expr}}}
}

// Equal is l = r, whatever the search path has for the name.
func Equal(l, r Node) Node {
	return pg_query.MakeAExprNode(pg_query.A_Expr_Kind_AEXPR_OP, []*pg_query.Node{pg_query.MakeStrNode("pg_catalog"), pg_query.MakeStrNode("=")}, l, r, -1)
}

// And is l AND r; either may be nil.
func And(l, r Node) Node {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.GetBoolExpr().GetBoolop() == pg_query.BoolExprType_AND_EXPR:
		// As the grammar has it (makeAndExpr in gram.y).
		args := append(slices.Clone(l.GetBoolExpr().Args), r)
		return pg_query.MakeBoolExprNode(pg_query.BoolExprType_AND_EXPR, args, -1)
	}
	return pg_query.MakeBoolExprNode(pg_query.BoolExprType_AND_EXPR, []*pg_query.Node{l, r}, -1)
}

// UpdateNode wraps an UPDATE.
func UpdateNode(s *UpdateStmt) Node {
	return &pg_query.Node{Node: &pg_query.Node_UpdateStmt{UpdateStmt: s}}
}

// WithOf is a statement's WITH clause, nil for none.
func WithOf(n Node) *WithClause {
	switch {
	case n.GetSelectStmt() != nil:
		return n.GetSelectStmt().WithClause
	case n.GetInsertStmt() != nil:
		return n.GetInsertStmt().WithClause
	case n.GetUpdateStmt() != nil:
		return n.GetUpdateStmt().WithClause
	case n.GetDeleteStmt() != nil:
		return n.GetDeleteStmt().WithClause
	case n.GetMergeStmt() != nil:
		return n.GetMergeStmt().WithClause
	}
	return nil
}

// AddWith puts WITH queries ahead of a statement that has none; false where it has.
func AddWith(n Node, ctes []Node) bool {
	w := &WithClause{Ctes: ctes}
	switch {
	case WithOf(n) != nil:
		return false
	case n.GetSelectStmt() != nil:
		n.GetSelectStmt().WithClause = w
	case n.GetInsertStmt() != nil:
		n.GetInsertStmt().WithClause = w
	case n.GetUpdateStmt() != nil:
		n.GetUpdateStmt().WithClause = w
	case n.GetDeleteStmt() != nil:
		n.GetDeleteStmt().WithClause = w
	case n.GetMergeStmt() != nil:
		n.GetMergeStmt().WithClause = w
	default:
		return false
	}
	return true
}

// DropWith takes a statement's WITH clause away.
func DropWith(n Node) {
	switch {
	case n.GetSelectStmt() != nil:
		n.GetSelectStmt().WithClause = nil
	case n.GetInsertStmt() != nil:
		n.GetInsertStmt().WithClause = nil
	case n.GetUpdateStmt() != nil:
		n.GetUpdateStmt().WithClause = nil
	case n.GetDeleteStmt() != nil:
		n.GetDeleteStmt().WithClause = nil
	case n.GetMergeStmt() != nil:
		n.GetMergeStmt().WithClause = nil
	}
}

// ReturningOf is the RETURNING list of a write.
func ReturningOf(n Node) []Node {
	switch {
	case n.GetInsertStmt() != nil:
		return n.GetInsertStmt().ReturningList
	case n.GetUpdateStmt() != nil:
		return n.GetUpdateStmt().ReturningList
	case n.GetDeleteStmt() != nil:
		return n.GetDeleteStmt().ReturningList
	case n.GetMergeStmt() != nil:
		return n.GetMergeStmt().ReturningList
	}
	return nil
}

// TargetOf is the relation that a write names as its target.
func TargetOf(n Node) *RangeVar {
	switch {
	case n.GetInsertStmt() != nil:
		return n.GetInsertStmt().Relation
	case n.GetUpdateStmt() != nil:
		return n.GetUpdateStmt().Relation
	case n.GetDeleteStmt() != nil:
		return n.GetDeleteStmt().Relation
	case n.GetMergeStmt() != nil:
		return n.GetMergeStmt().Relation
	}
	return nil
}

// InsertNode wraps an INSERT.
func InsertNode(s *InsertStmt) Node {
	return &pg_query.Node{Node: &pg_query.Node_InsertStmt{InsertStmt: s}}
}

// DeleteNode wraps a DELETE.
func DeleteNode(s *DeleteStmt) Node {
	return &pg_query.Node{Node: &pg_query.Node_DeleteStmt{DeleteStmt: s}}
}

// MergeNode wraps a MERGE.
func MergeNode(s *MergeStmt) Node {
	return &pg_query.Node{Node: &pg_query.Node_MergeStmt{MergeStmt: s}}
}
