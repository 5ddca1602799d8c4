package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// SourceRows is the relation that stands for the rows in InsertQuery.Text, as the deparser writes it; it has an alias there.
const SourceRows = `"` + sourceRows + `"`

const sourceRows = "pleiad source rows"

// InsertQuery is a write whose rows a query gives: they are read first, in whatever way the query runs, and each is then
// written on the backend of its shard, or on every backend. It serves INSERT … SELECT, MERGE, whose source's rows are read,
// and UPDATE of the partition key, where a DELETE with RETURNING gives the rows.
type InsertQuery struct {
	Table *Table
	// Source gives the rows: Columns columns to insert (those that have to be evaluated on home behind the query's own),
	// and then the partition key as it will be stored.
	Source  string
	Columns int
	// Keys are the columns of Source with the partition key's, -1 for a key column that is NULL.
	Keys []int
	// Old and New are the columns of Source with the primary key that a row had and that it gets, of an UPDATE: what passes a
	// key from one row to another depends on the order in which PostgreSQL comes by the rows.
	Old, New []int
	// Text is the INSERT, with SourceRows in place of the query.
	Text string
	// Everywhere is true for reference tables.
	Everywhere bool
	// Broadcast is true where every backend that has some of Table is given all rows.
	Broadcast bool
	Returning bool
}

// insertQuery plans an INSERT by reading its rows first. q is its level.
func (p *planner) insertQuery(a *analysis, q *query, r *rel, s *sqlparse.InsertStmt) (*InsertQuery, *pgerr.Error) {
	t := r.table
	src := s.SelectStmt.GetSelectStmt()
	positions := columnPositions(t, s.Cols)
	switch {
	case src == nil, src.WithClause != nil && s.WithClause != nil:
		return nil, refInsertSelect
	case q.source.open || len(q.source.out) == 0 || len(q.source.out) > len(positions) || slices.Contains(positions, -1):
		return nil, refInsertSelect
	case a.writes || a.keyTo != nil:
		return nil, refInsertSelect
	case q.readsApart(), namesWith(s):
		return nil, refSubquery // in ON CONFLICT or RETURNING
	}
	positions = positions[:len(q.source.out)]
	b := &insertQueryBuilder{a: a, t: t, src: src, positions: positions, user: s.Override == sqlparse.OverrideUser && hasIdentity(t)}
	b.missing = a.missing(t, b.kept(), 2)
	if s.WithClause != nil {
		src.WithClause, s.WithClause = s.WithClause, nil
	}
	source, err := b.source()
	if err != nil {
		return nil, refInsertSelect
	}
	out := &InsertQuery{
		Table: t, Source: source, Columns: len(b.positions) + len(b.missing), Keys: b.keys,
		Everywhere: t.Kind == TableReference, Returning: len(s.ReturningList) > 0,
	}
	if out.Text, err = b.insert(s); err != nil {
		return nil, refInsertSelect
	}
	return out, p.readable(source)
}

// namesWith reports whether ON CONFLICT or RETURNING reads a query of the INSERT's own WITH, which goes to where the rows are
// read.
func namesWith(s *sqlparse.InsertStmt) bool {
	names := map[string]bool{}
	for _, c := range s.WithClause.GetCtes() {
		names[c.GetCommonTableExpr().GetCtename()] = true
	}
	found := false
	see := func(n sqlparse.Node) bool {
		rv := n.GetRangeVar()
		found = found || rv != nil && rv.Schemaname == "" && names[rv.Relname]
		return !found
	}
	on := s.OnConflictClause
	sqlparse.WalkList(s.ReturningList, see)
	sqlparse.WalkList(on.GetTargetList(), see)
	sqlparse.Walk(on.GetWhereClause(), see)
	sqlparse.WalkList(on.GetInfer().GetIndexElems(), see)
	return found
}

// readsApart reports whether a subquery of the level itself reads what some backend lacks.
func (q *query) readsApart() bool {
	apart := false
	for _, s := range q.subs {
		s.q.walk(func(q *query) {
			for _, r := range q.rels {
				function := r.table == nil && r.sub == nil && r.lateral
				apart = apart || r.sub == nil && !function && (r.table == nil || r.table.Kind != TableReference)
			}
		})
	}
	return apart
}

// readable says why a statement's rows cannot be read, nil when they can.
func (p *planner) readable(source string) *pgerr.Error {
	p.t.Cacheable = false
	in := Plan(source, *p.env)
	switch {
	case in.Kind == KindRefuse:
		return in.Refusal
	case in.Kind == KindShards && in.Scatter == nil && in.Gather == nil && in.NoScatter != nil && !in.onOne():
		return in.NoScatter
	case in.Kind != KindShards && in.Kind != KindHome && in.Kind != KindAny:
		return refInsertSelect
	}
	return nil
}

type insertQueryBuilder struct {
	a         *analysis
	t         *Table
	src       *sqlparse.SelectStmt
	positions []int // of the query's columns in the table
	missing   []int // columns whose defaults home evaluates
	keys      []int
	user      bool // OVERRIDING USER VALUE: what the query gives for identity columns is left out
}

// kept are the positions of the query's columns that are written.
func (b *insertQueryBuilder) kept() []int {
	return slices.DeleteFunc(slices.Clone(b.positions), func(i int) bool { return b.user && b.t.Columns[i].Identity != 0 })
}

// source writes the query that gives the rows.
func (b *insertQueryBuilder) source() (string, error) {
	if err := b.typed(); err != nil {
		return "", err
	}
	text, err := sqlparse.Deparse(sqlparse.SelectNode(b.src))
	if err != nil {
		return "", err
	}
	var names, extra []string
	for i := range b.positions {
		names = append(names, "c"+itoa(i))
	}
	from := "(" + text + ") AS pleiad_source (" + strings.Join(names, ", ") + ")"
	if b.user {
		var kept []string
		for i, p := range b.positions {
			if b.t.Columns[p].Identity == 0 {
				kept = append(kept, names[i])
			}
		}
		if len(kept) == 0 {
			return "", refInsertSelect
		}
		b.positions, names = b.kept(), names[:len(kept)]
		from = "(SELECT " + strings.Join(kept, ", ") + " FROM " + from + ") AS pleiad_source (" + strings.Join(names, ", ") + ")"
	}
	for i, m := range b.missing {
		c := &b.t.Columns[m]
		names = append(names, "c"+itoa(len(b.positions)+i))
		extra = append(extra, "("+c.Default+")::"+c.BaseType()+" AS "+names[len(names)-1])
	}
	if len(extra) > 0 {
		from = "(SELECT pleiad_source.*, " + strings.Join(extra, ", ") + " FROM " + from + ") AS pleiad_source"
	}
	given := append(slices.Clone(b.positions), b.missing...)
	out := "SELECT pleiad_source.*"
	next := len(given)
	for _, k := range b.t.Key {
		i := slices.Index(given, k)
		if i < 0 {
			b.keys = append(b.keys, -1)
			continue
		}
		out += ", (pleiad_source.c" + itoa(i) + ")::" + b.t.Columns[k].TypeName
		b.keys = append(b.keys, next)
		next++
	}
	return out + " FROM " + from, nil
}

// typed gives constants that INSERT would read as the column's type that type: as a query's output they would be text.
func (b *insertQueryBuilder) typed() error {
	if len(b.src.ValuesLists) > 0 {
		for _, row := range b.src.ValuesLists {
			items := row.GetList().GetItems()
			for i := range items {
				if err := b.cell(items, i); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if b.src.Op != sqlparse.SetNone {
		return nil // constants have a common type with the other arms
	}
	for i, n := range b.src.TargetList {
		rt := n.GetResTarget()
		c := rt.GetVal().GetAConst()
		if c == nil || c.GetSval() == nil && !c.Isnull || len(b.src.TargetList) != len(b.positions) {
			continue
		}
		val, err := sqlparse.Cast(rt.Val, b.t.Columns[b.positions[i]].sourceType())
		if err != nil {
			return err
		}
		rt.Val = val
	}
	return nil
}

// cell types one cell of VALUES: INSERT takes each row's by itself to its column's type.
func (b *insertQueryBuilder) cell(items []sqlparse.Node, i int) error {
	c := &b.t.Columns[b.positions[i]]
	n := items[i]
	if n.GetSetToDefault() != nil {
		def := c.Default
		if def == "" {
			def = "NULL"
		}
		var err error
		if n, err = sqlparse.ParseExpr(def); err != nil {
			return err
		}
	}
	var err error
	items[i], err = sqlparse.Cast(n, c.sourceType())
	return err
}

// insert writes the INSERT of the rows.
func (b *insertQueryBuilder) insert(s *sqlparse.InsertStmt) (string, error) {
	if b.user {
		s.Override = sqlparse.OverrideSystem
	}
	s.Cols = nil
	for _, i := range append(slices.Clone(b.positions), b.missing...) {
		s.Cols = append(s.Cols, sqlparse.Target(b.t.Columns[i].Name))
	}
	for _, m := range b.missing {
		if b.t.Columns[m].Identity == 'a' {
			s.Override = sqlparse.OverrideSystem
		}
	}
	for i, p := range b.positions {
		if b.t.Columns[p].Identity == 'a' && b.defaulted(i) {
			s.Override = sqlparse.OverrideSystem
		}
	}
	s.SelectStmt = allSourceRows()
	return sqlparse.Deparse(sqlparse.InsertNode(s))
}

func allSourceRows() sqlparse.Node {
	return sqlparse.SelectNode(&sqlparse.SelectStmt{
		TargetList: []sqlparse.Node{sqlparse.Output(sqlparse.Column(""))},
		FromClause: []sqlparse.Node{sqlparse.Range(sourceRows, "pleiad_rows", nil)},
	})
}

// defaulted reports whether VALUES has a DEFAULT in this column; PostgreSQL takes no other value for GENERATED ALWAYS.
func (b *insertQueryBuilder) defaulted(int) bool { return len(b.src.ValuesLists) > 0 }
