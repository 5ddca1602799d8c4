package sqlparse

import (
	"errors"
	"fmt"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// The parse tree's shapes that schema changes are planned from.
type (
	CreateStmt        = pg_query.CreateStmt
	PartitionElem     = pg_query.PartitionElem
	ColumnDef         = pg_query.ColumnDef
	Constraint        = pg_query.Constraint
	IndexStmt         = pg_query.IndexStmt
	CreateTableAsStmt = pg_query.CreateTableAsStmt
	AlterTableStmt    = pg_query.AlterTableStmt
	AlterTableCmd     = pg_query.AlterTableCmd
	ObjectType        = pg_query.ObjectType
	FunctionParameter = pg_query.FunctionParameter
	ObjectWithArgs    = pg_query.ObjectWithArgs
)

// Kinds of object.
const (
	ObjectAccessMethod    = pg_query.ObjectType_OBJECT_ACCESS_METHOD
	ObjectAggregate       = pg_query.ObjectType_OBJECT_AGGREGATE
	ObjectAttribute       = pg_query.ObjectType_OBJECT_ATTRIBUTE
	ObjectCast            = pg_query.ObjectType_OBJECT_CAST
	ObjectCollation       = pg_query.ObjectType_OBJECT_COLLATION
	ObjectColumn          = pg_query.ObjectType_OBJECT_COLUMN
	ObjectConversion      = pg_query.ObjectType_OBJECT_CONVERSION
	ObjectDatabase        = pg_query.ObjectType_OBJECT_DATABASE
	ObjectDomain          = pg_query.ObjectType_OBJECT_DOMAIN
	ObjectDomConstraint   = pg_query.ObjectType_OBJECT_DOMCONSTRAINT
	ObjectEventTrigger    = pg_query.ObjectType_OBJECT_EVENT_TRIGGER
	ObjectExtension       = pg_query.ObjectType_OBJECT_EXTENSION
	ObjectFDW             = pg_query.ObjectType_OBJECT_FDW
	ObjectForeignServer   = pg_query.ObjectType_OBJECT_FOREIGN_SERVER
	ObjectForeignTable    = pg_query.ObjectType_OBJECT_FOREIGN_TABLE
	ObjectFunction        = pg_query.ObjectType_OBJECT_FUNCTION
	ObjectIndex           = pg_query.ObjectType_OBJECT_INDEX
	ObjectLanguage        = pg_query.ObjectType_OBJECT_LANGUAGE
	ObjectLargeObject     = pg_query.ObjectType_OBJECT_LARGEOBJECT
	ObjectMatview         = pg_query.ObjectType_OBJECT_MATVIEW
	ObjectOpclass         = pg_query.ObjectType_OBJECT_OPCLASS
	ObjectOperator        = pg_query.ObjectType_OBJECT_OPERATOR
	ObjectOpfamily        = pg_query.ObjectType_OBJECT_OPFAMILY
	ObjectParameterACL    = pg_query.ObjectType_OBJECT_PARAMETER_ACL
	ObjectPolicy          = pg_query.ObjectType_OBJECT_POLICY
	ObjectProcedure       = pg_query.ObjectType_OBJECT_PROCEDURE
	ObjectPublication     = pg_query.ObjectType_OBJECT_PUBLICATION
	ObjectRole            = pg_query.ObjectType_OBJECT_ROLE
	ObjectRoutine         = pg_query.ObjectType_OBJECT_ROUTINE
	ObjectRule            = pg_query.ObjectType_OBJECT_RULE
	ObjectSchema          = pg_query.ObjectType_OBJECT_SCHEMA
	ObjectSequence        = pg_query.ObjectType_OBJECT_SEQUENCE
	ObjectStatistics      = pg_query.ObjectType_OBJECT_STATISTIC_EXT
	ObjectSubscription    = pg_query.ObjectType_OBJECT_SUBSCRIPTION
	ObjectTabConstraint   = pg_query.ObjectType_OBJECT_TABCONSTRAINT
	ObjectTable           = pg_query.ObjectType_OBJECT_TABLE
	ObjectTablespace      = pg_query.ObjectType_OBJECT_TABLESPACE
	ObjectTransform       = pg_query.ObjectType_OBJECT_TRANSFORM
	ObjectTrigger         = pg_query.ObjectType_OBJECT_TRIGGER
	ObjectTSConfiguration = pg_query.ObjectType_OBJECT_TSCONFIGURATION
	ObjectTSDictionary    = pg_query.ObjectType_OBJECT_TSDICTIONARY
	ObjectTSParser        = pg_query.ObjectType_OBJECT_TSPARSER
	ObjectTSTemplate      = pg_query.ObjectType_OBJECT_TSTEMPLATE
	ObjectType_           = pg_query.ObjectType_OBJECT_TYPE
	ObjectUserMapping     = pg_query.ObjectType_OBJECT_USER_MAPPING
	ObjectView            = pg_query.ObjectType_OBJECT_VIEW
)

// Kinds of constraint.
const (
	ConstraintPrimary   = pg_query.ConstrType_CONSTR_PRIMARY
	ConstraintUnique    = pg_query.ConstrType_CONSTR_UNIQUE
	ConstraintExclude   = pg_query.ConstrType_CONSTR_EXCLUSION
	ConstraintForeign   = pg_query.ConstrType_CONSTR_FOREIGN
	ConstraintDefault   = pg_query.ConstrType_CONSTR_DEFAULT
	ConstraintIdentity  = pg_query.ConstrType_CONSTR_IDENTITY
	ConstraintNotNull   = pg_query.ConstrType_CONSTR_NOTNULL
	ConstraintGenerated = pg_query.ConstrType_CONSTR_GENERATED
	ConstraintCheck     = pg_query.ConstrType_CONSTR_CHECK
)

// PartitionHash is PARTITION BY HASH.
const PartitionHash = pg_query.PartitionStrategy_PARTITION_STRATEGY_HASH

// AccessShareLock is the mode of LOCK TABLE … IN ACCESS SHARE MODE (lockdefs.h).
const AccessShareLock = 1

// OnCommitNothing is no ON COMMIT clause.
const OnCommitNothing = pg_query.OnCommitAction_ONCOMMIT_NOOP

// LIKE's options that bring a primary key along.
const LikeIndexes = 1 << 6

// Commands of ALTER TABLE that placement decides about.
const (
	AlterAddColumn       = pg_query.AlterTableType_AT_AddColumn
	AlterAddIdentity     = pg_query.AlterTableType_AT_AddIdentity
	AlterColumnType      = pg_query.AlterTableType_AT_AlterColumnType
	AlterColumnDefault   = pg_query.AlterTableType_AT_ColumnDefault
	AlterAddConstraint   = pg_query.AlterTableType_AT_AddConstraint
	AlterValidate        = pg_query.AlterTableType_AT_ValidateConstraint
	AlterChangeOwner     = pg_query.AlterTableType_AT_ChangeOwner
	AlterSetUnlogged     = pg_query.AlterTableType_AT_SetUnLogged
	AlterSetTablespace   = pg_query.AlterTableType_AT_SetTableSpace
	AlterSetOptions      = pg_query.AlterTableType_AT_SetRelOptions
	AlterResetOptions    = pg_query.AlterTableType_AT_ResetRelOptions
	AlterAddInherit      = pg_query.AlterTableType_AT_AddInherit
	AlterDropInherit     = pg_query.AlterTableType_AT_DropInherit
	AlterAttachPartition = pg_query.AlterTableType_AT_AttachPartition
	AlterDetachPartition = pg_query.AlterTableType_AT_DetachPartition
	AlterDetachFinalize  = pg_query.AlterTableType_AT_DetachPartitionFinalize
	AlterSetExpression   = pg_query.AlterTableType_AT_SetExpression
)

// Targets of GRANT and REVOKE.
const (
	GrantObjects  = pg_query.GrantTargetType_ACL_TARGET_OBJECT
	GrantInSchema = pg_query.GrantTargetType_ACL_TARGET_ALL_IN_SCHEMA
)

// DropCascade is CASCADE.
const DropCascade = pg_query.DropBehavior_DROP_CASCADE

// What REINDEX rebuilds.
const (
	ReindexIndex = pg_query.ReindexObjectType_REINDEX_OBJECT_INDEX
	ReindexTable = pg_query.ReindexObjectType_REINDEX_OBJECT_TABLE
)

// Kind names the shape of a statement as the parse tree's field does: "create_stmt", "drop_stmt" …
func Kind(n Node) string {
	m := n.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("node"))
	if fd == nil {
		return ""
	}
	return string(fd.Name())
}

// Clone copies a tree, so that the copy can be changed.
func Clone(n Node) Node { return proto.Clone(n).(*pg_query.Node) }

// ListNode wraps a list as a node.
func ListNode(items ...Node) Node {
	return &pg_query.Node{Node: &pg_query.Node_List{List: &pg_query.List{Items: items}}}
}

// StringNode wraps a string as a node.
func StringNode(s string) Node {
	return &pg_query.Node{Node: &pg_query.Node_String_{String_: &pg_query.String{Sval: s}}}
}

// RangeVarNode wraps a relation's name as a node.
func RangeVarNode(r *RangeVar) Node {
	return &pg_query.Node{Node: &pg_query.Node_RangeVar{RangeVar: r}}
}

// grammarVersion is the PostgreSQL release of the parser's trees, which the deparser asks for.
const grammarVersion = 170007

// StatementSQL writes a changed tree as SQL.
func StatementSQL(stmt Node) (string, error) {
	return pg_query.Deparse(&pg_query.ParseResult{Version: grammarVersion, Stmts: []*pg_query.RawStmt{{Stmt: stmt}}})
}

// TypeSQL writes a type's name as SQL.
func TypeSQL(t *TypeName) (string, error) {
	const head = "SELECT NULL::"
	null := &pg_query.Node{Node: &pg_query.Node_AConst{AConst: &AConst{Isnull: true}}}
	cast := &pg_query.Node{Node: &pg_query.Node_TypeCast{TypeCast: &pg_query.TypeCast{Arg: null, TypeName: t}}}
	sql, err := StatementSQL(SelectNode(&SelectStmt{
		TargetList:  []Node{{Node: &pg_query.Node_ResTarget{ResTarget: &ResTarget{Val: cast}}}},
		LimitOption: pg_query.LimitOption_LIMIT_OPTION_DEFAULT,
		Op:          SetNone,
	}))
	name, ok := strings.CutPrefix(sql, head)
	if err == nil && !ok {
		err = errors.New("unexpected form " + sql)
	}
	if err != nil {
		return "", fmt.Errorf("write type name: %w", err)
	}
	return name, nil
}
