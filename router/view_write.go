package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// viewLevel is one view between a write and the table it changes.
type viewLevel struct {
	view  *Table
	sel   *sqlparse.SelectStmt
	from  *sqlparse.RangeVar
	below *Table // what the view's query reads
	// columns are positions in the base table of below's columns; -1 where one is no column of it.
	columns []int
}

// writtenThrough finds the table that a write to a view changes: every view on the way is one that PostgreSQL updates by
// itself (view_query_is_auto_updatable in rewriteHandler.c), and every backend has it. columns are the positions in the base
// table of the view's columns, -1 where the column is an expression.
func (e *Env) writtenThrough(view *Table) (base *Table, columns []int, levels []viewLevel) {
	if view.HasRules || len(view.Triggers) > 0 || !view.Everywhere || len(view.Definition) == 0 {
		return nil, nil, nil
	}
	stmts, err := sqlparse.Parse(view.Definition)
	if err != nil || len(stmts) != 1 || stmts[0].Node.GetSelectStmt() == nil {
		return nil, nil, nil
	}
	s := stmts[0].Node.GetSelectStmt()
	if s.Op != sqlparse.SetNone || len(s.DistinctClause) > 0 || len(s.GroupClause) > 0 || s.HavingClause != nil || len(s.WindowClause) > 0 ||
		s.WithClause != nil || s.LimitCount != nil || s.LimitOffset != nil || len(s.LockingClause) > 0 || len(s.ValuesLists) > 0 ||
		len(s.FromClause) != 1 || s.FromClause[0].GetRangeVar() == nil || len(s.TargetList) != len(view.Columns) {
		return nil, nil, nil
	}
	rv := s.FromClause[0].GetRangeVar()
	if !rv.Inh || len(rv.Alias.GetColnames()) > 0 {
		return nil, nil, nil
	}
	below, _ := e.resolve(rv)
	if below == nil {
		return nil, nil, nil
	}
	l := viewLevel{view: view, sel: s, from: rv, below: below}
	switch below.Kind {
	case TableSharded, TableReference:
		base = below
		for i := range below.Columns {
			l.columns = append(l.columns, i)
		}
	case TableView:
		if base, l.columns, levels = e.writtenThrough(below); base == nil {
			return nil, nil, nil
		}
	default:
		return nil, nil, nil
	}
	for _, n := range s.TargetList {
		i := -1
		if ref := n.GetResTarget().GetVal().GetColumnRef(); ref != nil {
			names := sqlparse.Strings(ref.Fields)
			if len(names) == 0 || len(names) != len(ref.Fields) {
				return nil, nil, nil
			}
			i = slices.IndexFunc(below.Columns, func(c Column) bool { return c.Name == names[len(names)-1] })
		}
		if i >= 0 {
			i = l.columns[i]
		}
		if i >= 0 && slices.Contains(columns, i) {
			return nil, nil, nil // which of the two a write means would have to be told
		}
		columns = append(columns, i)
	}
	return base, columns, append(levels, l)
}

// throughView is the relation that a write to a view changes, as if it were a table: the base table with the view's columns.
// The statement's text is what runs, on the backends of the base table's rows. nil means that PostgreSQL does not write
// through the view, or that it cannot be told where.
func (a *analysis) throughView(q *query, view *Table, op operation) *rel {
	base, columns, levels := a.env.writtenThrough(view)
	if base == nil {
		return nil
	}
	t := *base
	t.Schema, t.Name, t.OID, t.Relkind, t.Owner = view.Schema, view.Name, view.OID, view.Relkind, view.Owner
	t.Triggers, t.Columns, t.Key, t.PrimKey = nil, nil, nil, nil
	t.ReadReach |= view.ReadReach
	for i, b := range columns {
		c := view.Columns[i]
		if b >= 0 {
			own := c
			c = base.Columns[b]
			c.Name = own.Name
			if own.Default != "" {
				c.Default, c.DefaultVol, c.DefaultReach, c.Identity = own.Default, own.DefaultVol, own.DefaultReach, 0
			}
		}
		t.Columns = append(t.Columns, c)
	}
	for _, k := range base.Key {
		i := slices.Index(columns, k)
		if i < 0 {
			if op&opInsert != 0 {
				return nil
			}
			// A name that no statement can have: the rows still lie by this column.
			c := base.Columns[k]
			c.Name = "\x00" + c.Name
			i, columns, t.Columns = len(t.Columns), append(columns, k), append(t.Columns, c)
		}
		t.Key = append(t.Key, i)
	}
	for _, k := range base.PrimKey {
		if i := slices.Index(columns, k); i >= 0 {
			t.PrimKey = append(t.PrimKey, i)
		}
	}
	if len(t.PrimKey) < len(base.PrimKey) {
		t.PrimKey = nil
	}
	for b := range base.Columns {
		if op&opInsert == 0 || slices.Contains(columns, b) {
			continue
		}
		if a.evaluatesDefault(base, b, 1) {
			return nil // it would have to be given a value that the view cannot take
		}
		if a.evaluatesDefault(base, b, 2) {
			a.single(refViewWrite)
		}
	}
	a.targetTable(base, op)
	r := a.table(q, &t, true)
	a.foreign++
	unit := a.unit
	a.unit = nil
	for _, l := range levels {
		a.viewParts(q, r, l, columns, op)
	}
	a.unit = unit
	a.foreign--
	return r
}

// viewParts reads a view's conditions and expressions as conditions and expressions of the write.
func (a *analysis) viewParts(q *query, r *rel, l viewLevel, columns []int, op operation) {
	a.reads(l.view, l.view.Name)
	name, schema := l.from.Relname, l.below.Schema
	if l.from.Alias != nil {
		name, schema = l.from.Alias.Aliasname, ""
	}
	it := nsItem{name: name, schema: schema, rel: r}
	for i := range l.below.Columns {
		c := nsCol{name: l.below.Columns[i].Name}
		if at := slices.Index(columns, l.columns[i]); at >= 0 && l.columns[i] >= 0 {
			c.id = colID{r, at}
		}
		it.cols = append(it.cols, c)
	}
	sc := &scope{ns: &namespace{items: []nsItem{it}, cols: it.cols}, level: q}
	subs := len(q.subs)
	for _, n := range l.sel.TargetList {
		before := q.targetFacts
		a.expr(q, n, sc, &q.targetFacts)
		if (q.targetFacts&^before)&(fnAggregate|fnWindow|fnSRF) != 0 {
			a.refuse(refViewWrite)
		}
	}
	switch w := l.sel.WhereClause; {
	case w == nil:
	case op == opUpdate || op == opDelete:
		a.where(q, w, sc)
	default:
		a.expr(q, w, sc, &q.whereFacts) // an INSERT may give rows that the view does not show
	}
	for _, s := range q.subs[subs:] {
		if s.q.hasSharded() {
			a.refuse(refViewWrite)
		}
	}
}
