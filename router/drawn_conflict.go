package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// conflictDraw takes an INSERT … ON CONFLICT DO UPDATE apart that sets columns to values of sequences: PostgreSQL takes one
// for each row that is there already, after the row's own defaults. So those rows are found and locked first.
type conflictDraw struct {
	*drawBuilder
	s         *sqlparse.InsertStmt
	src       *sqlparse.SelectStmt
	positions []int // of the source's columns in the table
	missing   []int // columns whose defaults home makes
	keys      []int // what the conflict is about: places in positions
	made      []madeValue
}

// conflict plans ON CONFLICT DO UPDATE with values that home makes.
func (b *drawBuilder) conflict(s *sqlparse.InsertStmt) bool {
	oc := s.OnConflictClause
	c := &conflictDraw{drawBuilder: b, s: s, src: s.SelectStmt.GetSelectStmt(), positions: columnPositions(b.t, s.Cols)}
	up := &sqlparse.UpdateStmt{TargetList: oc.TargetList}
	if c.src == nil || s.WithClause != nil || s.Override != sqlparse.OverrideNone || oc.WhereClause != nil || b.late() ||
		len(b.t.Triggers) > 0 || b.t.RLS || len(b.t.PrimKey) == 0 || !b.single(up) || !c.source() || !c.inferred() {
		return false
	}
	if c.made = b.made(up); len(c.made) == 0 || b.err != nil {
		return false
	}
	for _, m := range c.made {
		reads := false
		sqlparse.Walk(m.expr, func(n sqlparse.Node) bool {
			reads = reads || n.GetColumnRef() != nil
			return !reads
		})
		// Where another session has inserted the row meanwhile no value is there: the constraint tells.
		if reads || !b.t.Columns[m.column].NotNull {
			return false
		}
	}
	return c.plan()
}

// source checks the rows to insert: they must draw nothing themselves.
func (c *conflictDraw) source() bool {
	if c.q.source == nil || c.q.source.open || len(c.q.source.out) == 0 || len(c.q.source.out) > len(c.positions) || slices.Contains(c.positions, -1) {
		return false
	}
	c.positions = c.positions[:len(c.q.source.out)]
	a := &analysis{env: c.a.env, text: c.p.text, lits: c.p.lits}
	a.query(sqlparse.Clone(c.s.SelectStmt).GetSelectStmt(), nil)
	for _, row := range c.src.ValuesLists {
		if slices.ContainsFunc(row.GetList().GetItems(), func(n sqlparse.Node) bool { return n.GetSetToDefault() != nil }) {
			return false
		}
	}
	c.missing = c.a.missing(c.t, c.positions, 2)
	return a.err == nil && a.fn&lateFacts == 0
}

// inferred reads ON CONFLICT (a, b), whose columns the source must give.
func (c *conflictDraw) inferred() bool {
	in := c.s.OnConflictClause.Infer
	if in == nil || in.WhereClause != nil || in.Conname != "" {
		return false
	}
	for _, n := range in.IndexElems {
		e := n.GetIndexElem()
		at := slices.Index(c.positions, c.column(e.GetName()))
		if e.GetName() == "" || len(e.Collation) > 0 || len(e.Opclass) > 0 || at < 0 {
			return false
		}
		c.keys = append(c.keys, at)
	}
	return len(c.keys) > 0
}

func (c *conflictDraw) plan() bool {
	typed := &insertQueryBuilder{a: c.a, t: c.t, src: c.src, positions: c.positions}
	c.fail(typed.typed())
	var names, outs, after []string
	for i := range c.positions {
		names = append(names, "c"+itoa(i))
		outs = append(outs, "s.c"+itoa(i))
	}
	cols := strings.Join(names, ", ")
	for _, k := range c.missing {
		after = append(after, "c"+itoa(len(names)+len(after)))
		outs = append(outs, "("+c.t.Columns[k].Default+")::"+c.t.Columns[k].BaseType()+" AS "+after[len(after)-1])
		if c.t.Columns[k].Identity == 'a' {
			c.s.Override = sqlparse.OverrideSystem
		}
	}
	all := append(slices.Clone(names), after...)
	for _, m := range c.made {
		expr, err := sqlparse.DeparseExpr(m.expr)
		c.fail(err)
		all = append(all, "u"+itoa(m.column))
		outs = append(outs, "CASE WHEN pleiad_m IS NOT NULL THEN ("+expr+")::"+c.t.Columns[m.column].BaseType()+" END AS "+all[len(all)-1])
	}
	rows := c.step("SELECT pleiad_source.* FROM (" + c.deparse(sqlparse.SelectNode(c.src)) + ") AS pleiad_source (" + cols + ")")
	counted := c.step("SELECT pg_catalog.row_number() OVER () AS pleiad_n, s.* FROM " + PreludeRows(rows) + " AS s (" + cols + ")")
	var on, same []string
	for _, k := range c.keys {
		col := &c.t.Columns[c.positions[k]]
		on = append(on, "pleiad_target."+quoteIdent(col.Name)+equals+"(s."+names[k]+")::"+col.TypeName)
		same = append(same, "(s."+names[k]+")::"+col.TypeName+equals+"excluded."+quoteIdent(col.Name))
	}
	matched := c.step("SELECT s.pleiad_n FROM " + quoteName(c.t.Schema, c.t.Name) + " AS pleiad_target JOIN " + PreludeRows(counted) +
		" AS s (pleiad_n, " + cols + ") ON " + strings.Join(on, " AND ") + " FOR NO KEY UPDATE OF pleiad_target")
	values := c.step("SELECT " + strings.Join(outs, ", ") + " FROM (SELECT s.*, (SELECT m.n FROM " + PreludeRows(matched) +
		" AS m (n) WHERE m.n" + equals + "s.pleiad_n LIMIT 1) AS pleiad_m FROM " + PreludeRows(counted) + " AS s (pleiad_n, " + cols +
		") ORDER BY s.pleiad_n OFFSET 0) AS s")
	c.out.Denied = refMixedSeq
	return c.final(values, all, same)
}

// final writes the INSERT of the rows, with the values for those that are there already.
func (c *conflictDraw) final(values int, all, same []string) bool {
	from := " FROM " + PreludeRows(values) + " AS s (" + strings.Join(all, ", ") + ")"
	for _, m := range c.made {
		val, err := sqlparse.ParseExpr("(SELECT s.u" + itoa(m.column) + from + " WHERE " + strings.Join(same, " AND ") + " LIMIT 1)")
		c.fail(err)
		m.target.Val = val
	}
	given := append(slices.Clone(c.positions), c.missing...)
	c.s.Cols = nil
	for _, i := range given {
		c.s.Cols = append(c.s.Cols, sqlparse.Target(c.t.Columns[i].Name))
	}
	stmts, err := sqlparse.Parse("SELECT " + strings.Join(all[:len(given)], ", ") + from)
	if c.fail(err); err == nil {
		c.s.SelectStmt = stmts[0].Node
	}
	c.out.Text = c.deparse(c.n)
	return true
}
