package sqlparse

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// Node is one node of PostgreSQL's parse tree. Locations are byte offsets into the parsed text.
type Node = *pg_query.Node

// The parse tree's shapes that routing looks at, named as in PostgreSQL's parsenodes.h.
type (
	SelectStmt      = pg_query.SelectStmt
	InsertStmt      = pg_query.InsertStmt
	UpdateStmt      = pg_query.UpdateStmt
	DeleteStmt      = pg_query.DeleteStmt
	MergeStmt       = pg_query.MergeStmt
	MergeWhenClause = pg_query.MergeWhenClause
	CopyStmt        = pg_query.CopyStmt
	DeclareStmt     = pg_query.DeclareCursorStmt
	ExplainStmt     = pg_query.ExplainStmt
	VariableSetStmt = pg_query.VariableSetStmt
	TransactionStmt = pg_query.TransactionStmt
	WithClause      = pg_query.WithClause
	CTE             = pg_query.CommonTableExpr
	RangeVar        = pg_query.RangeVar
	LockingClause   = pg_query.LockingClause
	JoinExpr        = pg_query.JoinExpr
	Alias           = pg_query.Alias
	FuncCall        = pg_query.FuncCall
	SubLink         = pg_query.SubLink
	AConst          = pg_query.A_Const
	AExpr           = pg_query.A_Expr
	ColumnRef       = pg_query.ColumnRef
	ValueFunction   = pg_query.SQLValueFunction
	ValueOp         = pg_query.SQLValueFunctionOp
	ParamRef        = pg_query.ParamRef
	TypeName        = pg_query.TypeName
	TypeCast        = pg_query.TypeCast
	SortBy          = pg_query.SortBy
	ResTarget       = pg_query.ResTarget
	OnConflict      = pg_query.OnConflictClause
	DefElem         = pg_query.DefElem
	WindowDef       = pg_query.WindowDef
	JoinType        = pg_query.JoinType
)

// Joins.
const (
	JoinInner = pg_query.JoinType_JOIN_INNER
	JoinLeft  = pg_query.JoinType_JOIN_LEFT
	JoinFull  = pg_query.JoinType_JOIN_FULL
	JoinRight = pg_query.JoinType_JOIN_RIGHT
)

// Kinds of A_Expr.
const (
	ExprOp    = pg_query.A_Expr_Kind_AEXPR_OP
	ExprOpAny = pg_query.A_Expr_Kind_AEXPR_OP_ANY
	ExprIn    = pg_query.A_Expr_Kind_AEXPR_IN
	// ExprNullIf is NULLIF.
	ExprNullIf = pg_query.A_Expr_Kind_AEXPR_NULLIF
)

// MinMaxLeast is LEAST.
const MinMaxLeast = pg_query.MinMaxOp_IS_LEAST

// GroupingSets is GROUPING SETS itself, as against ROLLUP and CUBE.
const GroupingSets = pg_query.GroupingSetKind_GROUPING_SET_SETS

// Kinds of subqueries in expressions; SubAny is IN (SELECT …) and = ANY (SELECT …).
const (
	SubAny    = pg_query.SubLinkType_ANY_SUBLINK
	SubExists = pg_query.SubLinkType_EXISTS_SUBLINK
	SubArray  = pg_query.SubLinkType_ARRAY_SUBLINK
	SubExpr   = pg_query.SubLinkType_EXPR_SUBLINK
)

// SQLValueFunction's operators that are times; those with N carry a precision.
const (
	ValueDate       = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_DATE
	ValueTime       = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIME
	ValueTimeN      = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N
	ValueTimestamp  = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP
	ValueTimestampN = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N
	ValueLocalTime  = pg_query.SQLValueFunctionOp_SVFOP_LOCALTIME
	ValueLocalTimeN = pg_query.SQLValueFunctionOp_SVFOP_LOCALTIME_N
	ValueLocal      = pg_query.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP
	ValueLocalN     = pg_query.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N
)

// SQLValueFunction's operators that are no times: role, user and catalog names; CURRENT_SCHEMA.
const (
	ValueRole    = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_ROLE
	ValueCatalog = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG
	ValueSchema  = pg_query.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA
)

// Boolean operators.
const (
	BoolAnd = pg_query.BoolExprType_AND_EXPR
	BoolOr  = pg_query.BoolExprType_OR_EXPR
)

// ImplicitRow is (a, b) without the word ROW.
const ImplicitRow = pg_query.CoercionForm_COERCE_IMPLICIT_CAST

// Set operations.
const (
	SetNone  = pg_query.SetOperation_SETOP_NONE
	SetUnion = pg_query.SetOperation_SETOP_UNION
)

// ORDER BY directions and places of nulls.
const (
	SortAsc      = pg_query.SortByDir_SORTBY_ASC
	SortDesc     = pg_query.SortByDir_SORTBY_DESC
	SortUsing    = pg_query.SortByDir_SORTBY_USING
	NullsDefault = pg_query.SortByNulls_SORTBY_NULLS_DEFAULT
	NullsFirst   = pg_query.SortByNulls_SORTBY_NULLS_FIRST
	NullsLast    = pg_query.SortByNulls_SORTBY_NULLS_LAST
)

// LockNoKeyUpdate is FOR NO KEY UPDATE; stronger locks have greater numbers.
const LockNoKeyUpdate = pg_query.LockClauseStrength_LCS_FORNOKEYUPDATE

// SkipsLocked reports SKIP LOCKED.
func SkipsLocked(l *LockingClause) bool { return l.WaitPolicy == pg_query.LockWaitPolicy_LockWaitSkip }

// LockSQL is a locking clause that names no relation, as SQL.
func LockSQL(l *LockingClause) string {
	text := " FOR UPDATE"
	switch l.Strength {
	case pg_query.LockClauseStrength_LCS_FORKEYSHARE:
		text = " FOR KEY SHARE"
	case pg_query.LockClauseStrength_LCS_FORSHARE:
		text = " FOR SHARE"
	case pg_query.LockClauseStrength_LCS_FORNOKEYUPDATE:
		text = " FOR NO KEY UPDATE"
	}
	if l.WaitPolicy == pg_query.LockWaitPolicy_LockWaitError {
		text += " NOWAIT"
	}
	return text
}

// Kinds of LIMIT; WITH TIES is FETCH FIRST … WITH TIES.
const (
	LimitDefault  = pg_query.LimitOption_LIMIT_OPTION_DEFAULT
	LimitWithTies = pg_query.LimitOption_LIMIT_OPTION_WITH_TIES
)

// Kinds of SET.
const (
	SetValue    = pg_query.VariableSetKind_VAR_SET_VALUE
	SetDefault  = pg_query.VariableSetKind_VAR_SET_DEFAULT
	SetCurrent  = pg_query.VariableSetKind_VAR_SET_CURRENT
	SetMulti    = pg_query.VariableSetKind_VAR_SET_MULTI
	SetReset    = pg_query.VariableSetKind_VAR_RESET
	SetResetAll = pg_query.VariableSetKind_VAR_RESET_ALL
)

// Kinds of transaction statements.
const (
	TransBegin            = pg_query.TransactionStmtKind_TRANS_STMT_BEGIN
	TransStart            = pg_query.TransactionStmtKind_TRANS_STMT_START
	TransCommit           = pg_query.TransactionStmtKind_TRANS_STMT_COMMIT
	TransRollback         = pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK
	TransSavepoint        = pg_query.TransactionStmtKind_TRANS_STMT_SAVEPOINT
	TransRelease          = pg_query.TransactionStmtKind_TRANS_STMT_RELEASE
	TransRollbackTo       = pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO
	TransPrepare          = pg_query.TransactionStmtKind_TRANS_STMT_PREPARE
	TransCommitPrepared   = pg_query.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED
	TransRollbackPrepared = pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED
)

// Actions of ON CONFLICT.
const (
	ConflictNothing = pg_query.OnConflictAction_ONCONFLICT_NOTHING
	ConflictUpdate  = pg_query.OnConflictAction_ONCONFLICT_UPDATE
)

// OVERRIDING clauses.
const (
	OverrideNone   = pg_query.OverridingKind_OVERRIDING_NOT_SET
	OverrideSystem = pg_query.OverridingKind_OVERRIDING_SYSTEM_VALUE
	OverrideUser   = pg_query.OverridingKind_OVERRIDING_USER_VALUE
)

// Commands of a MERGE arm.
const (
	CmdUpdate  = pg_query.CmdType_CMD_UPDATE
	CmdInsert  = pg_query.CmdType_CMD_INSERT
	CmdDelete  = pg_query.CmdType_CMD_DELETE
	CmdNothing = pg_query.CmdType_CMD_NOTHING
)

// Kinds of MERGE arms but the matched one; BY SOURCE is PostgreSQL 17's.
const (
	MergeNotMatched         = pg_query.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_TARGET
	MergeNotMatchedBySource = pg_query.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE
)

// Words of DISCARD.
const (
	FetchForward     = pg_query.FetchDirection_FETCH_FORWARD
	FetchBackward    = pg_query.FetchDirection_FETCH_BACKWARD
	FetchAbsolute    = pg_query.FetchDirection_FETCH_ABSOLUTE
	FetchRelative    = pg_query.FetchDirection_FETCH_RELATIVE
	DiscardAll       = pg_query.DiscardMode_DISCARD_ALL
	DiscardPlans     = pg_query.DiscardMode_DISCARD_PLANS
	DiscardSequences = pg_query.DiscardMode_DISCARD_SEQUENCES
	DiscardTemp      = pg_query.DiscardMode_DISCARD_TEMP
)

// Strings reads a list of String nodes: a name in its parts.
func Strings(list []Node) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		if s := n.GetString_(); s != nil {
			out = append(out, s.Sval)
		}
	}
	return out
}

// SelectNode wraps a SELECT as a node.
func SelectNode(s *SelectStmt) Node {
	return &pg_query.Node{Node: &pg_query.Node_SelectStmt{SelectStmt: s}}
}

// WindowNode wraps an inline window definition as a node.
func WindowNode(w *WindowDef) Node {
	return &pg_query.Node{Node: &pg_query.Node_WindowDef{WindowDef: w}}
}
