package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// readsBefore makes steps, ahead of all others, of what a part of the statement reads of the tables that another part writes:
// all parts of one statement see these as they were before it. A relation's rows stand for it then, with the columns that the
// text may mean.
func (b *preludeBuilder) readsBefore(n sqlparse.Node) {
	parts := []sqlparse.Node{n}
	var written [][]*Table
	b.ctesOf(n)
	if w := sqlparse.WithOf(n); w != nil {
		for _, c := range w.Ctes {
			parts = append(parts, c.GetCommonTableExpr().Ctequery)
		}
	}
	for _, part := range parts {
		var tables []*Table
		if rv := sqlparse.TargetOf(part); rv != nil {
			t, _ := b.env.resolve(rv)
			tables = b.changed(part, t)
		}
		written = append(written, tables)
	}
	written[0] = nil // the statement's own write is the last step anyway
	for i, part := range parts {
		others := slices.Concat(written[:i]...)
		if i+1 < len(parts) {
			others = slices.Concat(others, slices.Concat(written[i+1:]...))
		}
		if len(others) > 0 {
			b.before(n, i, part, others)
		}
	}
}

// ctesOf notes the names of a statement's WITH queries, and of those inside of it.
func (b *preludeBuilder) ctesOf(n sqlparse.Node) {
	b.outer, b.inner = map[string]bool{}, map[string]bool{}
	for _, c := range sqlparse.WithOf(n).GetCtes() {
		b.outer[c.GetCommonTableExpr().Ctename] = true
	}
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if c := n.GetCommonTableExpr(); c != nil && !b.outer[c.Ctename] {
			b.inner[c.Ctename] = true
		}
		return true
	})
}

// before replaces what one part reads of the others' tables.
func (b *preludeBuilder) before(whole sqlparse.Node, i int, part sqlparse.Node, others []*Table) {
	use := meantColumns(whole)
	visit := func(n sqlparse.Node) (sqlparse.Node, bool) {
		sl, rs, rv := n.GetSubLink(), n.GetRangeSubselect(), n.GetRangeVar()
		switch {
		case n.GetCommonTableExpr() != nil && i == 0, n.GetMultiAssignRef().GetColno() > 1:
			return n, false // a part of its own
		case sl != nil && b.standsAlone(sl.Subselect, others):
			if rows := b.take(sl.Subselect); rows != nil {
				sl.Subselect = rows
				return n, false
			}
		case rs != nil && !rs.Lateral && b.standsAlone(rs.Subquery, others):
			if rows := b.take(rs.Subquery); rows != nil {
				rs.Subquery = rows
				return n, false
			}
		case n.GetRangeTableSample() != nil || len(n.GetSelectStmt().GetLockingClause()) > 0:
			return n, false // conflicts refuses it
		case rv != nil && b.concerns(rv, others):
			if with := b.relationBefore(whole, rv, use); with != nil {
				return with, false
			}
		}
		return n, true
	}
	if s := part.GetSelectStmt(); s != nil {
		if len(s.LockingClause) > 0 {
			return
		}
		if i == 0 && b.alone(part, others) {
			if rows := b.takeMain(s); rows {
				return
			}
		}
	}
	sqlparse.RewriteChildren(part, visit)
}

// concerns reports whether a name in FROM is that of a relation whose rows others may change.
func (b *preludeBuilder) concerns(rv *sqlparse.RangeVar, others []*Table) bool {
	if b.maybeWith(rv, b.outer[rv.Relname] || b.inner[rv.Relname]) {
		return false
	}
	t, _ := b.env.resolve(rv)
	return t != nil && (slices.Contains(others, t) || t.Kind == TableView)
}

// standsAlone reports whether a subquery can be run by itself and reads what others write.
func (b *preludeBuilder) standsAlone(n sqlparse.Node, others []*Table) bool {
	s := n.GetSelectStmt()
	return s != nil && len(s.LockingClause) == 0 && b.apart(s) && b.alone(n, others)
}

// alone reports whether a query names no WITH query, and reads what others write.
func (b *preludeBuilder) alone(n sqlparse.Node, others []*Table) bool {
	reads, names := false, false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if n.GetCommonTableExpr() != nil {
			return false
		}
		if rv := n.GetRangeVar(); rv != nil {
			reads = reads || b.concerns(rv, others)
			names = names || b.maybeWith(rv, b.outer[rv.Relname] || b.inner[rv.Relname])
		}
		return true
	})
	return reads && !names
}

// takeMain makes a step of a SELECT that names none of its WITH queries, and leaves its rows.
func (b *preludeBuilder) takeMain(s *sqlparse.SelectStmt) bool {
	with := s.WithClause
	s.WithClause = nil
	rows := b.take(sqlparse.SelectNode(s))
	if rows == nil {
		s.WithClause = with
		return false
	}
	b.main = rows
	rows.GetSelectStmt().WithClause = with
	return true
}

// systemColumns are those that rows in a relation's place do not have.
var systemColumns = []string{"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}

// relationBefore reads a relation ahead and gives what stands in its place; nil where the text may mean more of it than rows.
func (b *preludeBuilder) relationBefore(whole sqlparse.Node, rv *sqlparse.RangeVar, use *columnUse) sqlparse.Node {
	t, _ := b.env.resolve(rv)
	alias, columns := rv.Relname, []string(nil)
	if rv.Alias != nil {
		alias, columns = rv.Alias.Aliasname, sqlparse.Strings(rv.Alias.Colnames)
	}
	if slices.ContainsFunc(systemColumns, func(c string) bool { return use.names[c] }) || wholeRows(whole, t.Schema, alias) {
		return nil
	}
	var outs []sqlparse.Node
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = t.Columns[i].Name
	}
	for _, name := range names {
		if len(columns) > 0 || use.needs(quoteIdent(alias), name, names) {
			outs = append(outs, sqlparse.Output(sqlparse.Column(name)))
		}
	}
	if len(outs) == 0 && len(t.Columns) > 0 {
		at := 0
		if len(t.PrimKey) > 0 {
			at = t.PrimKey[0]
		}
		outs = append(outs, sqlparse.Output(sqlparse.Column(t.Columns[at].Name)))
	}
	from := &sqlparse.RangeVar{Schemaname: t.Schema, Relname: t.Name, Inh: rv.Inh, Relpersistence: "p"}
	read := sqlparse.SelectNode(&sqlparse.SelectStmt{TargetList: outs, FromClause: []sqlparse.Node{sqlparse.RangeVarNode(from)}})
	text, err := sqlparse.Deparse(read)
	if err != nil {
		return nil
	}
	k := slices.Index(b.out.Steps, text)
	if k < 0 {
		k = len(b.out.Steps)
		b.out.Steps, b.out.Shapes, b.steps = append(b.out.Steps, text), append(b.out.Shapes, ""), append(b.steps, read)
	}
	return sqlparse.Range(preludeRows(k), alias, columns)
}

// wholeRows reports whether a text may mean a relation's row as one value, and may show its type, which rows in its place do not
// have. (The types of the statement's outputs are compared by whoever runs it.)
func wholeRows(n sqlparse.Node, schema, alias string) bool {
	rows, typed := false, false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if names := sqlparse.Strings(n.GetFuncCall().GetFuncname()); len(names) > 0 {
			typed = typed || names[len(names)-1] == "pg_typeof"
		}
		if rt := n.GetResTarget(); rt != nil {
			ref := rt.Val.GetColumnRef()
			if len(ref.GetFields()) == 2 && hasStar(ref.Fields) {
				return false // its columns, in a target list
			}
		}
		if ref := n.GetColumnRef(); ref != nil {
			names := sqlparse.Strings(ref.Fields)
			switch {
			case len(names) == 1:
				rows = rows || names[0] == alias // the row, a column of that name, or the row by its star
			case len(names) > 1:
				rows = rows || names[0] == schema && names[1] == alias
			}
		}
		return true
	})
	return rows && typed
}
