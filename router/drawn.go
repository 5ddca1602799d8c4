package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Sequences give their values on home alone. A write over shards that needs some is taken apart: what is written, or given
// back, is made on home, between statements that read the rows and write them.

// lateFacts are those of functions that home can evaluate over rows that have been written already.
const lateFacts = fnNextval | fnCurrval | fnHome | fnPins

// rowByRow is how many rows of VALUES are written one after the other.
const rowByRow = 100

// drawBuilder takes one write apart.
type drawBuilder struct {
	p    *planner
	a    *analysis
	q    *query
	t    *Table
	n    sqlparse.Node
	name string // by which the statement calls its target
	out  *Prelude
	err  error
}

// drawn plans a write over shards that needs values of sequences; nil where it cannot.
func (p *planner) drawn() *Prelude {
	copies := p.t.Kind == KindRefuse && p.t.Refusal == refRefWrite
	if e := p.t.NoScatter; e != refMixedSeq && e != refHomeFunc && !copies {
		return nil
	}
	stmts, err := sqlparse.Parse(p.text)
	if err != nil || len(stmts) != 1 {
		return nil
	}
	b := &drawBuilder{p: p, n: stmts[0].Node, out: &Prelude{Command: p.t.Command}}
	rv := sqlparse.TargetOf(b.n)
	if rv == nil {
		return nil
	}
	b.a = &analysis{env: p.env, text: p.text, lits: p.lits}
	if s := b.n.GetMergeStmt(); s != nil {
		b.q, _ = b.a.mergeLevel(s, nil)
	} else {
		b.q = b.a.statement(b.n)
	}
	b.t, _ = p.env.resolve(rv)
	if b.name = rv.Relname; rv.Alias != nil {
		b.name = rv.Alias.Aliasname
	}
	a := b.a
	switch {
	case copies:
		if b.n.GetUpdateStmt() == nil || b.q == nil || b.t == nil || b.t.Kind != TableReference || a.err != nil && a.err != refRefWrite {
			return nil
		}
		b.out.OneMatch = true
	case b.t == nil || b.t.Kind != TableSharded || a.err != nil:
		return nil
	}
	switch {
	case b.q == nil || len(a.unknown) > 0 || b.t.HasRules,
		a.fn&(fnSharded|fnDynamic|fnUnknown) != 0, a.keyMoves || len(a.keyTo) > 0 || a.tableOID:
		return nil
	}
	done := false
	switch {
	case b.n.GetInsertStmt() != nil:
		done = b.insert(b.n.GetInsertStmt())
	case b.n.GetUpdateStmt() != nil:
		done = b.update(b.n.GetUpdateStmt())
	case b.n.GetDeleteStmt() != nil:
		done = b.late() && b.answer()
	case b.n.GetMergeStmt() != nil:
		done = b.merge(b.n.GetMergeStmt())
	}
	if !done || b.err != nil {
		return nil
	}
	return b.out
}

// facts are those of some expressions.
func (b *drawBuilder) facts(list ...sqlparse.Node) (f fnFacts) {
	for _, n := range list {
		f |= b.a.exprFacts(n)
	}
	return f
}

// late reports whether RETURNING needs home, and nothing but the rows written.
func (b *drawBuilder) late() bool {
	list := sqlparse.ReturningOf(b.n)
	return b.facts(list...)&lateFacts != 0 && len(b.q.rels) == 1 && b.ownColumns(list...)
}

// ownColumns reports whether expressions use nothing but the target's user columns.
func (b *drawBuilder) ownColumns(list ...sqlparse.Node) bool {
	ok := true
	sqlparse.WalkList(list, func(n sqlparse.Node) bool {
		switch ref := n.GetColumnRef(); {
		case n.GetSubLink() != nil || n.GetCurrentOfExpr() != nil:
			ok = false
		case ref != nil:
			names := sqlparse.Strings(ref.Fields)
			star := len(names) < len(ref.Fields)
			if len(ref.Fields) == 2 && names[0] == b.name {
				names = names[1:]
			} else if len(ref.Fields) > 1 {
				ok = false
			}
			ok = ok && (star || b.column(names[0]) >= 0)
		}
		return ok
	})
	return ok
}

func (b *drawBuilder) column(name string) int {
	return slices.IndexFunc(b.t.Columns, func(c Column) bool { return c.Name == name })
}

// row is the target's row as one value, with the columns that are asked for.
func (b *drawBuilder) row(list []sqlparse.Node, also []int) sqlparse.Node {
	used := map[string]bool{}
	all := false
	sqlparse.WalkList(list, func(n sqlparse.Node) bool {
		if ref := n.GetColumnRef(); ref != nil {
			names := sqlparse.Strings(ref.Fields)
			all = all || len(names) < len(ref.Fields)
			if len(names) > 0 {
				used[names[len(names)-1]] = true
			}
		}
		return true
	})
	var cells []string
	for i := range b.t.Columns {
		c := &b.t.Columns[i]
		if all || used[c.Name] || slices.Contains(also, i) || c.TypeOID >= firstUserOID {
			cells = append(cells, quoteIdent(b.name)+"."+quoteIdent(c.Name))
		} else {
			cells = append(cells, "NULL")
		}
	}
	n, err := sqlparse.ParseExpr("ROW(" + strings.Join(cells, ", ") + ")::" + quoteName(b.t.Schema, b.t.Name))
	b.fail(err)
	return n
}

func (b *drawBuilder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// from is FROM with the rows of a step that gives one column, of the target's type, under the target's name.
func (b *drawBuilder) from(step int) string {
	return " FROM (SELECT (pleiad_row.c).* FROM (SELECT pleiad_rows.c FROM " + PreludeRows(step) +
		" AS pleiad_rows (c) OFFSET 0) AS pleiad_row) AS " + quoteIdent(b.name)
}

func (b *drawBuilder) deparse(n sqlparse.Node) string {
	text, err := sqlparse.Deparse(n)
	b.fail(err)
	return text
}

// step adds a statement that runs ahead and gives its number.
func (b *drawBuilder) step(text string) int {
	b.out.Steps = append(b.out.Steps, text)
	b.out.Shapes = append(b.out.Shapes, "") // what they write travels as whole rows, of the table's type
	return len(b.out.Steps) - 1
}

// answer makes the statement give its rows whole, and home make the client's RETURNING of them.
func (b *drawBuilder) answer() bool {
	list := sqlparse.ReturningOf(b.n)
	b.setReturning(b.n, []sqlparse.Node{sqlparse.Output(b.row(list, nil))})
	written := b.step(b.deparse(b.n))
	b.out.Answer = true
	b.out.Text = b.deparse(sqlparse.SelectNode(&sqlparse.SelectStmt{TargetList: list})) + b.from(written)
	return true
}

func (b *drawBuilder) setReturning(n sqlparse.Node, list []sqlparse.Node) {
	switch {
	case n.GetInsertStmt() != nil:
		n.GetInsertStmt().ReturningList = list
	case n.GetUpdateStmt() != nil:
		n.GetUpdateStmt().ReturningList = list
	case n.GetDeleteStmt() != nil:
		n.GetDeleteStmt().ReturningList = list
	}
}

// insert plans an INSERT whose RETURNING needs home.
func (b *drawBuilder) insert(s *sqlparse.InsertStmt) bool {
	switch {
	case !b.late():
		return s.OnConflictClause.GetAction() == sqlparse.ConflictUpdate && b.conflict(s)
	case b.draws(s) == 0:
		return b.answer()
	case s.SelectStmt == nil:
		return b.answer()
	case !plainValues(s):
		return false // rows take values one after the other, RETURNING's between those of two rows
	}
	lists := s.SelectStmt.GetSelectStmt().ValuesLists
	if len(lists) == 1 {
		return b.answer()
	}
	return b.rowByRow(s, lists)
}

// draws are the facts of sequences that an INSERT uses apart from RETURNING.
func (b *drawBuilder) draws(s *sqlparse.InsertStmt) (f fnFacts) {
	n := sqlparse.Clone(b.n)
	b.setReturning(n, nil)
	a := &analysis{env: b.a.env, text: b.p.text, lits: b.p.lits}
	q := a.statement(n)
	a.usesDefaults(q, b.t, s.Cols, insertWidth(s, b.q), insertRows(s)...)
	return a.fn & fnNextval
}

// rowByRow writes the rows of VALUES one after the other, each with its RETURNING: a sequence may serve both.
func (b *drawBuilder) rowByRow(s *sqlparse.InsertStmt, lists []sqlparse.Node) bool {
	t := b.t
	oc := s.OnConflictClause
	switch {
	case len(lists) > rowByRow || s.WithClause != nil || len(t.Triggers) > 0 || oc != nil && oc.GetAction() == sqlparse.ConflictUpdate,
		slices.Contains(t.ReferencesOut, t.OID):
		return false // the statement's end is not that of each row
	}
	returning := s.ReturningList
	output := b.deparse(sqlparse.SelectNode(&sqlparse.SelectStmt{TargetList: returning}))
	s.ReturningList = []sqlparse.Node{sqlparse.Output(b.row(returning, nil))}
	values := s.SelectStmt.GetSelectStmt()
	var parts []string
	for _, list := range lists {
		values.ValuesLists = []sqlparse.Node{list}
		written := b.step(b.deparse(b.n))
		parts = append(parts, "SELECT * FROM "+PreludeRows(b.step(output+b.from(written)))+" AS pleiad_rows")
	}
	b.out.Answer = true
	b.out.Text = strings.Join(parts, " UNION ALL ")
	return true
}

// update plans an UPDATE that needs home for its new values, or for its RETURNING.
func (b *drawBuilder) update(s *sqlparse.UpdateStmt) bool {
	if !b.single(s) {
		return false
	}
	made := b.made(s)
	switch {
	case b.err != nil:
		return false
	case len(made) == 0:
		return !b.out.OneMatch && b.late() && b.answer()
	}
	t := b.t
	switch {
	case b.facts(s.ReturningList...)&lateFacts != 0, // between the values of two rows
		len(t.PrimKey) == 0 || t.RLS || t.Relkind == 'v' || b.a.statementTrigger,
		s.WithClause != nil || len(s.FromClause) > 0 || len(b.q.rels) != 1 || b.a.exprFacts(s.WhereClause)&(homeOnly|fnPerRow|fnVolatile|fnUserVol|fnUnseenVol) != 0,
		s.WhereClause.GetCurrentOfExpr() != nil:
		return false
	}
	b.out.Denied = refMixedSeq
	b.values(s, made)
	return true
}

// single writes (a, b) = (x, y) as two assignments.
func (b *drawBuilder) single(s *sqlparse.UpdateStmt) bool {
	for _, n := range s.TargetList {
		rt := n.GetResTarget()
		m := rt.GetVal().GetMultiAssignRef()
		if m == nil {
			continue
		}
		args := m.Source.GetRowExpr().GetArgs()
		if int(m.Ncolumns) != len(args) || int(m.Colno) > len(args) {
			return false
		}
		rt.Val = args[m.Colno-1]
	}
	return true
}

// madeValue is a new value that home makes.
type madeValue struct {
	column int
	target *sqlparse.ResTarget
	expr   sqlparse.Node
}

// made lists the assignments that home evaluates, in the order in which PostgreSQL does: that of the columns.
func (b *drawBuilder) made(s *sqlparse.UpdateStmt) (out []madeValue) {
	for _, n := range s.TargetList {
		rt := n.GetResTarget()
		i := b.column(rt.GetName())
		if i < 0 || rt.Val == nil {
			b.fail(refMixedSeq)
			return nil
		}
		c := &b.t.Columns[i]
		expr := rt.Val
		if expr.GetSetToDefault() != nil {
			if b.a.defaultFacts(*c)&(fnNextval|fnCurrval) == 0 {
				continue
			}
			var err error
			expr, err = sqlparse.ParseExpr(c.Default)
			b.fail(err)
		} else if b.facts(expr)&lateFacts == 0 {
			continue
		}
		if c.Identity == 'a' || len(rt.Indirection) > 0 || !b.ownColumns(expr) || b.facts(expr)&(fnTables|fnSharded) != 0 {
			b.fail(refMixedSeq) // GENERATED ALWAYS takes DEFAULT alone
			return nil
		}
		out = append(out, madeValue{i, rt, expr})
	}
	slices.SortStableFunc(out, func(x, y madeValue) int { return x.column - y.column })
	return out
}

// values reads and locks the rows, makes their new values at home, and writes these by the primary key.
func (b *drawBuilder) values(s *sqlparse.UpdateStmt, made []madeValue) {
	var exprs []sqlparse.Node
	for _, m := range made {
		exprs = append(exprs, m.expr)
	}
	read := b.deparse(sqlparse.SelectNode(&sqlparse.SelectStmt{
		TargetList: []sqlparse.Node{sqlparse.Output(b.row(exprs, b.t.PrimKey))}, FromClause: []sqlparse.Node{sqlparse.RangeVarNode(s.Relation)},
		WhereClause: s.WhereClause,
	}))
	locked := b.step(read + " FOR NO KEY UPDATE")
	var outs []string
	var where sqlparse.Node
	for _, n := range conjuncts(s.WhereClause, nil) {
		if b.plainCondition(n) {
			where = sqlparse.And(where, n)
		}
	}
	var match sqlparse.Node
	for _, k := range b.t.PrimKey {
		name := "pleiad_k" + itoa(k)
		outs = append(outs, quoteIdent(b.name)+"."+quoteIdent(b.t.Columns[k].Name)+" AS "+name)
		match = sqlparse.And(match, sqlparse.Equal(sqlparse.Column(b.name, b.t.Columns[k].Name), sqlparse.Column(valuesAlias, name)))
	}
	for _, m := range made {
		name := "pleiad_v" + itoa(m.column)
		expr, err := sqlparse.DeparseExpr(m.expr)
		b.fail(err)
		outs = append(outs, "("+expr+")::"+b.t.Columns[m.column].BaseType()+" AS "+name)
		m.target.Val = sqlparse.Column(valuesAlias, name)
	}
	values := b.step("SELECT " + strings.Join(outs, ", ") + b.from(locked))
	s.FromClause = []sqlparse.Node{sqlparse.Range(preludeRows(values), valuesAlias, nil)}
	s.WhereClause = sqlparse.And(match, where)
	for _, n := range s.ReturningList {
		if ref := n.GetResTarget().GetVal().GetColumnRef(); ref != nil && len(ref.Fields) == 1 && len(sqlparse.Strings(ref.Fields)) == 0 {
			n.GetResTarget().Val = sqlparse.Column(b.name, "") // not the values
		}
	}
	b.out.Text = b.deparse(b.n)
}

// valuesAlias is the name of the relation with the values that home has made.
const valuesAlias = "pleiad drawn values"

// plainCondition reports whether a condition compares columns with constants: it still holds of the rows that are locked, and
// says which backends have them.
func (b *drawBuilder) plainCondition(n sqlparse.Node) bool {
	ok := n.GetAExpr() != nil
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		ok = ok && b.a.env.unnamed(n) == 0 && n.GetSubLink() == nil && n.GetFuncCall() == nil && n.GetSqlvalueFunction() == nil && n.GetTypeCast() == nil
		return ok
	})
	return ok
}
