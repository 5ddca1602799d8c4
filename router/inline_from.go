package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// fromCall is what takes the place of a call in FROM.
func (in *inliner) fromCall(n sqlparse.Node, rf *sqlparse.RangeFunction, call *sqlparse.FuncCall) sqlparse.Node {
	fn := in.callee(call)
	if fn == nil || rf.Ordinality || rf.IsRowsfrom || len(rf.Coldeflist) > 0 ||
		len(rf.Functions[0].GetList().GetItems()) > 1 && rf.Functions[0].GetList().GetItems()[1].GetList() != nil {
		in.refuse()
		return n
	}
	alias := fn.Name
	if rf.Alias != nil {
		alias = rf.Alias.Aliasname
	}
	cols, ok := in.env.resultColumns(fn, alias)
	if !ok {
		in.refuse()
		return n
	}
	var sel *sqlparse.SelectStmt
	if fn.RetSet {
		sel, ok = in.rows(fn, call, cols)
	} else {
		var value sqlparse.Node
		if !scalarKind(fn.Sig) {
			sel, ok = in.row(fn, call, cols)
		} else if value, ok = in.scalar(fn, call, in.around.from); ok && len(cols) == 1 {
			sel = &sqlparse.SelectStmt{TargetList: []sqlparse.Node{sqlparse.TargetNode(fn.Name, value)}, LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
		}
	}
	if !ok || sel == nil {
		in.refuse()
		return n
	}
	in.calls++
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.Name
	}
	if rf.Alias != nil {
		given := sqlparse.Strings(rf.Alias.Colnames)
		if len(given) > len(names) {
			in.refuse()
			return n
		}
		copy(names, given)
	}
	in.hoist(alias, names)
	return sqlparse.SubqueryNode(sel, alias, names, true)
}

// resultColumns are what a function in FROM has as columns: names and types.
func (e *Env) resultColumns(fn *Function, alias string) ([]Argument, bool) {
	g := fn.Sig
	var out []Argument
	for _, a := range g.Args {
		if a.Mode == 't' || a.Mode == 'o' || a.Mode == 'b' {
			out = append(out, a)
		}
	}
	switch {
	case len(out) > 0:
		for _, a := range out {
			if a.Name == "" {
				return nil, false
			}
		}
	case g.ReturnsRow != 0:
		t := e.Schema.ByOID[g.ReturnsRow]
		if t == nil {
			return nil, false
		}
		for _, c := range t.Columns {
			out = append(out, Argument{Name: c.Name, Type: c.TypeName})
		}
	case scalarKind(g):
		out = []Argument{{Name: alias, Type: g.Returns}}
	}
	return out, len(out) > 0
}

// rows is the query of a set-returning function's rows.
func (in *inliner) rows(fn *Function, call *sqlparse.FuncCall, cols []Argument) (*sqlparse.SelectStmt, bool) {
	b := in.body(fn, call, in.around.from)
	if b == nil || b.q.open || len(b.q.out) != len(cols) || len(cols) == 1 && fn.Sig.ReturnsRow != 0 {
		return nil, false
	}
	if fn.RetSet {
		in.keepOrder(b, cols)
	}
	s := b.sel
	names := make([]string, len(cols))
	for i := range cols {
		names[i] = "c" + itoa(i+1)
	}
	if !b.typed(cols) {
		var ok bool
		if s, ok = wrapped(s, names); !ok {
			return nil, false
		}
		for i, n := range s.TargetList {
			val, err := sqlparse.Cast(n.GetResTarget().Val, cols[i].Type)
			if err != nil {
				return nil, false
			}
			n.GetResTarget().Val, n.GetResTarget().Name = val, names[i]
		}
	}
	if b.args == nil && !(fn.Sig.Strict && len(b.simple) > 0) {
		return s, true
	}
	out := &sqlparse.SelectStmt{LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
	if b.args != nil {
		out.FromClause = append(out.FromClause, b.args)
	}
	out.FromClause = append(out.FromClause, sqlparse.SubqueryNode(s, rowsAlias, names, true))
	for _, n := range names {
		out.TargetList = append(out.TargetList, sqlparse.TargetNode(n, sqlparse.ColumnNode(rowsAlias, n)))
	}
	out.WhereClause = b.notNulls(fn.Sig.Strict)
	return out, true
}

// row is the query of the one row that a function gives that returns no set: of NULLs where its body has none.
func (in *inliner) row(fn *Function, call *sqlparse.FuncCall, cols []Argument) (*sqlparse.SelectStmt, bool) {
	rows, ok := in.rows(fn, call, cols)
	if !ok {
		return nil, false
	}
	names := make([]string, len(cols))
	out := &sqlparse.SelectStmt{LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
	for i := range cols {
		names[i] = "c" + itoa(i+1)
		out.TargetList = append(out.TargetList, sqlparse.TargetNode("", sqlparse.ColumnNode(rowAlias, names[i])))
	}
	if len(rows.ValuesLists) > 0 || rows.Op != sqlparse.SetNone || rows.LimitCount != nil || rows.LimitOffset != nil {
		if rows, ok = wrapped(rows, names); !ok {
			return nil, false
		}
	}
	rows.LimitCount, rows.LimitOption = sqlparse.Integer(1), sqlparse.LimitCountOption
	one := &sqlparse.SelectStmt{TargetList: []sqlparse.Node{sqlparse.TargetNode("", sqlparse.Integer(1))}, LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
	out.FromClause = []sqlparse.Node{sqlparse.LeftJoinNode(sqlparse.SubqueryNode(one, "pleiad one", nil, false), sqlparse.SubqueryNode(rows, rowAlias, names, true))}
	return out, true
}
