package sqlparse

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Walk calls visit for n and every node beneath it, parents first, in no particular order among siblings. When
// visit returns false the node's children are left out. It reaches every Node field of every message, also those
// that this package has no name for.
func Walk(n Node, visit func(Node) bool) {
	if n == nil || !visit(n) {
		return
	}
	// A Node is a oneof: the fields that matter are those of the shape in it.
	n.ProtoReflect().Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		walkFields(v.Message(), visit)
		return true
	})
}

// WalkList is Walk for each of a list.
func WalkList(list []Node, visit func(Node) bool) {
	for _, n := range list {
		Walk(n, visit)
	}
}

func walkFields(m protoreflect.Message, visit func(Node) bool) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind {
			return true
		}
		if fd.IsList() {
			list := v.List()
			for i := range list.Len() {
				walkMessage(list.Get(i).Message(), visit)
			}
			return true
		}
		walkMessage(v.Message(), visit)
		return true
	})
}

// walkMessage visits a message: a Node itself, or the nodes inside another shape (RangeVar, SelectStmt …), which
// is shown to visit wrapped as a Node where it is a query or a type, so that none goes unseen.
func walkMessage(m protoreflect.Message, visit func(Node) bool) {
	switch v := m.Interface().(type) {
	case *pg_query.Node:
		Walk(v, visit)
	case *pg_query.SelectStmt:
		Walk(SelectNode(v), visit)
	case *pg_query.RangeVar:
		Walk(&pg_query.Node{Node: &pg_query.Node_RangeVar{RangeVar: v}}, visit)
	case *pg_query.TypeName:
		Walk(&pg_query.Node{Node: &pg_query.Node_TypeName{TypeName: v}}, visit)
	case *pg_query.FuncCall:
		Walk(&pg_query.Node{Node: &pg_query.Node_FuncCall{FuncCall: v}}, visit)
	case *pg_query.WindowDef:
		Walk(WindowNode(v), visit)
	default:
		walkFields(m, visit)
	}
}
