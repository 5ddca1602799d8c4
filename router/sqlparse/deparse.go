package sqlparse

import (
	"errors"
	"strings"
	"sync"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ErrDeparse says that a tree cannot be written as SQL: the deparser's text means something else, or nothing.
var ErrDeparse = errors.New("deparse: the text is not the tree's")

// Deparse writes a statement's tree as SQL. The text is parsed again, and used only if that gives the same tree.
func Deparse(stmt Node) (string, error) {
	text, err := pg_query.Deparse(&pg_query.ParseResult{Version: treeVersion(), Stmts: []*pg_query.RawStmt{{Stmt: stmt}}})
	if err != nil {
		return "", err
	}
	again, err := Parse(text)
	if err != nil {
		return "", err
	}
	if len(again) != 1 || !sameTree(stmt.ProtoReflect(), again[0].Node.ProtoReflect()) {
		return "", ErrDeparse
	}
	return text, nil
}

// treeVersion is the PostgreSQL version of the parse trees, which the deparser asks for.
var treeVersion = sync.OnceValue(func() int32 {
	tree, err := pg_query.Parse("")
	if err != nil {
		return 0 // the deparser says that it is the wrong one
	}
	return tree.Version
})

// DeparseExpr writes an expression's tree as SQL.
func DeparseExpr(expr Node) (string, error) {
	target := &pg_query.Node{Node: &pg_query.Node_ResTarget{ResTarget: &pg_query.ResTarget{Val: expr}}}
	sql, err := Deparse(SelectNode(&SelectStmt{TargetList: []Node{target}}))
	return strings.TrimPrefix(sql, "SELECT "), err
}

// sameTree compares two trees but for locations. An enum that one of them leaves open is the parser's default.
func sameTree(a, b protoreflect.Message) bool {
	if a.Descriptor() != b.Descriptor() {
		return false
	}
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if isLocation(fd) || fd.ContainingOneof() != nil && !a.Has(fd) && !b.Has(fd) {
			continue
		}
		if !sameField(fd, a, b) {
			return false
		}
	}
	return true
}

func isLocation(fd protoreflect.FieldDescriptor) bool {
	switch fd.Name() {
	case "location", "name_location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end":
		return true
	}
	return false
}

func sameField(fd protoreflect.FieldDescriptor, a, b protoreflect.Message) bool {
	x, y := a.Get(fd), b.Get(fd)
	switch {
	case fd.IsList():
		l, m := x.List(), y.List()
		if l.Len() != m.Len() {
			return false
		}
		for i := range l.Len() {
			if fd.Kind() == protoreflect.MessageKind && !sameTree(l.Get(i).Message(), m.Get(i).Message()) ||
				fd.Kind() != protoreflect.MessageKind && !l.Get(i).Equal(m.Get(i)) {
				return false
			}
		}
		return true
	case fd.Kind() == protoreflect.MessageKind:
		if a.Has(fd) != b.Has(fd) {
			return false
		}
		return !a.Has(fd) || sameTree(x.Message(), y.Message())
	case fd.Kind() == protoreflect.EnumKind:
		return x.Enum() == 0 || y.Enum() == 0 || x.Enum() == y.Enum()
	}
	return x.Equal(y)
}
