package sqlparse

import (
	"strconv"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Rewrite calls f for n and every node beneath it, parents first. The node that f gives takes the place of the one it
// was shown; only where it is the same one, and f says so, f sees its children. The tree is changed in place.
func Rewrite(n Node, f func(Node) (with Node, children bool)) Node {
	if n == nil {
		return nil
	}
	with, children := f(n)
	if with == n && children {
		RewriteChildren(n, f)
	}
	return with
}

// RewriteChildren is Rewrite for the nodes beneath n alone.
func RewriteChildren(n Node, f func(Node) (with Node, children bool)) {
	n.ProtoReflect().Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		rewriteFields(v.Message(), f)
		return true
	})
}

// RewriteList is Rewrite for each of a list.
func RewriteList(list []Node, f func(Node) (with Node, children bool)) {
	for i, n := range list {
		list[i] = Rewrite(n, f)
	}
}

func rewriteFields(m protoreflect.Message, f func(Node) (Node, bool)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind {
			return true
		}
		if !fd.IsList() {
			if with := rewriteMessage(v.Message(), f); with != nil {
				m.Set(fd, protoreflect.ValueOfMessage(with))
			}
			return true
		}
		list := v.List()
		for i := range list.Len() {
			if with := rewriteMessage(list.Get(i).Message(), f); with != nil {
				list.Set(i, protoreflect.ValueOfMessage(with))
			}
		}
		return true
	})
}

// rewriteMessage gives what takes the message's place, nil for nothing.
func rewriteMessage(m protoreflect.Message, f func(Node) (Node, bool)) protoreflect.Message {
	n, ok := m.Interface().(*pg_query.Node)
	if !ok {
		rewriteFields(m, f)
		return nil
	}
	if n.GetNode() == nil {
		return nil // an empty place in a list
	}
	if with := Rewrite(n, f); with != n {
		return with.ProtoReflect()
	}
	return nil
}

// Key is a text that two expressions share only if they are the same but for the places they stand at. column names a
// column reference; where it gives "", its words count.
func Key(n Node, column func(*ColumnRef) string) string {
	var b strings.Builder
	writeKey(&b, n.ProtoReflect(), column)
	return b.String()
}

func writeKey(b *strings.Builder, m protoreflect.Message, column func(*ColumnRef) string) {
	if ref, ok := m.Interface().(*pg_query.ColumnRef); ok {
		if name := column(ref); name != "" {
			b.WriteString(name)
			return
		}
	}
	b.WriteString(string(m.Descriptor().Name()))
	b.WriteByte('{')
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) || fd.Name() == "location" {
			continue
		}
		b.WriteString(strconv.Itoa(int(fd.Number())))
		b.WriteByte(':')
		v := m.Get(fd)
		switch {
		case fd.IsList():
			for j := range v.List().Len() {
				writeKeyValue(b, fd, v.List().Get(j), column)
			}
		default:
			writeKeyValue(b, fd, v, column)
		}
		b.WriteByte(';')
	}
	b.WriteByte('}')
}

func writeKeyValue(b *strings.Builder, fd protoreflect.FieldDescriptor, v protoreflect.Value, column func(*ColumnRef) string) {
	if fd.Kind() == protoreflect.MessageKind {
		writeKey(b, v.Message(), column)
		return
	}
	b.WriteString(strconv.Quote(v.String()))
	b.WriteByte(',')
}

// Written is Deparse whose text is read again: ok is false where that gives another tree.
func Written(stmt Node) (text string, ok bool) {
	text, err := Deparse(stmt)
	if err != nil {
		return "", false
	}
	again, err := Parse(text)
	plain := func(*ColumnRef) string { return "" }
	return text, err == nil && len(again) == 1 && Key(again[0].Node, plain) == Key(stmt, plain)
}

// WrittenExpr is Written for an expression.
func WrittenExpr(expr Node) (text string, ok bool) {
	text, ok = Written(SelectNode(&SelectStmt{
		TargetList: []Node{TargetNode("", expr)}, LimitOption: LimitDefault, Op: SetNone,
	}))
	return strings.TrimPrefix(text, "SELECT "), ok
}

// ColumnNode is a reference to a column by its name's parts.
func ColumnNode(parts ...string) Node {
	ref := &pg_query.ColumnRef{}
	for _, p := range parts {
		ref.Fields = append(ref.Fields, StringNode(p))
	}
	return &pg_query.Node{Node: &pg_query.Node_ColumnRef{ColumnRef: ref}}
}

// CallNode is a call of a function by its name's parts.
func CallNode(args []Node, parts ...string) Node {
	f := &pg_query.FuncCall{Args: args, Funcformat: pg_query.CoercionForm_COERCE_EXPLICIT_CALL}
	for _, p := range parts {
		f.Funcname = append(f.Funcname, StringNode(p))
	}
	return &pg_query.Node{Node: &pg_query.Node_FuncCall{FuncCall: f}}
}

// TargetNode is an item of a target list.
func TargetNode(name string, val Node) Node {
	return &pg_query.Node{Node: &pg_query.Node_ResTarget{ResTarget: &pg_query.ResTarget{Name: name, Val: val}}}
}

// TableNode is a table of FROM under an alias.
func TableNode(name, alias string) Node {
	return &pg_query.Node{Node: &pg_query.Node_RangeVar{RangeVar: &pg_query.RangeVar{
		Relname: name, Inh: true, Relpersistence: "p", Alias: &pg_query.Alias{Aliasname: alias},
	}}}
}
