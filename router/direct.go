package router

import (
	"slices"
	"strconv"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Direct is how a statement that falls on one shard can name that shard in its table's place. PostgreSQL plans one over a
// partition with less effort than one over a partitioned table, and that of a prepared statement once: over the
// partitioned table it plans it for each execution anew, since the partition depends on the values.
type Direct struct {
	Table *Table
	Point *Point // nil where its literals stay what they are
	name  Splice // the table's name in the text; With is the partition's, behind its schema
}

// direct tells whether the statement means the same with a partition in its only table's place, for rows of that partition,
// and whoever may run it may run that.
func (p *planner) direct() *Direct {
	t := p.t
	if t.Kind != KindShards || len(t.Prune) != 1 || t.Prune[0].All || t.NeedsHome || t.KeyTo != nil || t.CurrentOf != "" ||
		p.inlined > 0 || p.from > 0 {
		return nil
	}
	table := t.Prune[0].Table
	rv := p.directRelation(table)
	if rv == nil {
		return nil
	}
	if named, _ := p.env.resolve(rv); named != table { // a view may stand before it
		return nil
	}
	if !rv.Inh || rv.Catalogname != "" || !table.alike(p.env) || !directNames(p.node, rv, table) {
		return nil
	}
	toks := sqlparse.Tokens(p.text)
	name, err := nameSpan(toks, rv)
	next := slices.IndexFunc(toks, func(k sqlparse.Token) bool { return k.Start >= name.End })
	if err != nil || next >= 0 && p.text[toks[next].Start] == '*' {
		return nil
	}
	shard := ShardRelation(table.Schema, table.Name)
	name.With = quoteIdent(shard)
	if rv.Alias == nil && shard != table.Name {
		name.With += " AS " + quoteIdent(table.Name)
	}
	return &Direct{Table: table, Point: p.point(table), name: name}
}

// alike reports whether a table's partitions are what it is: to whom they belong, who may use them, which columns they have in
// which order. What guards the table alone (policies, triggers of statements, rules, grants) makes it another.
func (t *Table) alike(env *Env) bool {
	for i := range t.Columns {
		if int(t.Columns[i].Attnum) != i+1 {
			return false // a dropped column, which a partition that has moved has not
		}
	}
	// Who is not the owner may have no way to the table, or is denied it by name.
	open := env.User == t.Owner || t.Found && ShardRelation(t.Schema, t.Name) == t.Name
	return t.Ungranted && open && !t.RLS && !t.HasRules && len(t.Triggers) == 0
}

// directRelation is the statement's only table, where it is a statement of one level.
func (p *planner) directRelation(t *Table) (rv *sqlparse.RangeVar) {
	switch n := p.node; {
	case n.GetSelectStmt() != nil:
		if s := n.GetSelectStmt(); s.Op == sqlparse.SetNone && len(s.FromClause) == 1 && s.WhereClause != nil {
			rv = s.FromClause[0].GetRangeVar()
		}
	case n.GetInsertStmt() != nil:
		if s := n.GetInsertStmt(); plainValues(s) && s.Override == sqlparse.OverrideNone && s.OnConflictClause.GetInfer().GetConname() == "" && t.takes(s) {
			rv = s.Relation
		}
	case n.GetUpdateStmt() != nil:
		if s := n.GetUpdateStmt(); len(s.FromClause) == 0 && !t.computes() {
			rv = s.Relation
		}
	case n.GetDeleteStmt() != nil:
		if s := n.GetDeleteStmt(); len(s.UsingClause) == 0 {
			rv = s.Relation
		}
	}
	return rv
}

// computes reports whether PostgreSQL gives columns their values: a partition knows nothing of identities.
func (t *Table) computes() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Generated || c.Identity != 0 })
}

// takes reports whether an INSERT leaves nothing to defaults: a partition has its own.
func (t *Table) takes(s *sqlparse.InsertStmt) bool {
	if t.computes() {
		return false
	}
	given := columnPositions(t, s.Cols)
	if len(s.Cols) == 0 {
		for _, row := range insertRows(s) {
			given = given[:min(len(given), len(row))]
		}
	}
	for i, c := range t.Columns {
		if c.Default != "" && !slices.Contains(given, i) {
			return false
		}
	}
	return true
}

// directNames reports whether a statement of one level reads columns of its table by their names alone: no other table, no
// row as a whole, whose type would be the partition's.
func directNames(tree sqlparse.Node, rv *sqlparse.RangeVar, t *Table) bool {
	name := rv.Relname
	if rv.Alias != nil {
		name = rv.Alias.Aliasname
	}
	outputs, selects := outputNames(tree), tree.GetSelectStmt() != nil
	relations, stars, ok := 0, 0, rv.Alias == nil || len(rv.Alias.Colnames) == 0
	sqlparse.Walk(tree, func(n sqlparse.Node) bool {
		switch {
		case n.GetRangeVar() != nil:
			relations++
		case n.GetSubLink() != nil, n.GetCommonTableExpr() != nil, n.GetRangeSubselect() != nil, n.GetSetToDefault() != nil, n.GetCurrentOfExpr() != nil:
			ok = false
		case n.GetResTarget() != nil:
			// What an INSERT or UPDATE names. Errors about others would name the partition.
			written := n.GetResTarget().Name
			ok = ok && (selects || written == "" || slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == written }))
		case n.GetFuncCall() != nil:
			f := sqlparse.Strings(n.GetFuncCall().Funcname)
			ok = ok && f[len(f)-1] != "current_query" // which shows the text
		case n.GetColumnRef() != nil:
			ref := n.GetColumnRef()
			words := sqlparse.Strings(ref.Fields)
			switch {
			case len(ref.Fields) > 2, len(words) == 2 && words[0] != name && words[0] != "excluded":
				ok = false
			case len(words) < len(ref.Fields):
				stars++
			case slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == words[len(words)-1] }):
			default:
				ok = ok && len(words) == 1 && words[0] != name && slices.Contains(outputs, words[0])
			}
		}
		return ok
	})
	return ok && relations == 1 && stars == outputStars(tree)
}

// outputNames are the names that a SELECT gives to what it gives: ORDER BY and GROUP BY may mean them.
func outputNames(n sqlparse.Node) (names []string) {
	for _, o := range n.GetSelectStmt().GetTargetList() {
		if name := o.GetResTarget().GetName(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// outputStars counts the outputs that are all columns.
func outputStars(n sqlparse.Node) (stars int) {
	for _, o := range append(sqlparse.ReturningOf(n), n.GetSelectStmt().GetTargetList()...) {
		if f := o.GetResTarget().GetVal().GetColumnRef().GetFields(); len(f) > 0 && f[len(f)-1].GetAStar() != nil {
			stars++
		}
	}
	return stars
}

// DirectShard is the one shard that a statement with Direct falls on.
func (t *Template) DirectShard(v *Values) (shard uint32, ok bool) {
	var set shardmap.ShardSet
	p := &t.Prune[0]
	for _, tuple := range p.Tuples {
		if v.addShards(p.Table, tuple, p.Stores, &set) != nil {
			return 0, false
		}
	}
	return set.Single()
}

// AppendDirect appends to dst v's text with a shard in the table's place.
func (t *Template) AppendDirect(dst []byte, shard uint32, v *Values) []byte {
	name := &t.Direct.name
	dst = t.Direct.appendShard(append(dst, v.Text[:t.placeIn(v, name.Start)]...), shard)
	return append(dst, v.Text[t.placeIn(v, name.End):]...)
}

func (d *Direct) appendShard(dst []byte, shard uint32) []byte {
	dst = append(strconv.AppendUint(append(dst, `"pleiad_`...), uint64(shard), 10), `".`...)
	return append(dst, d.name.With...)
}

// placeIn is Shift for v's text.
func (t *Template) placeIn(v *Values, p int) int {
	if i := literalBefore(t.Spans, p); i >= 0 {
		return p + v.Lits[i].End - t.Spans[i].End
	}
	return p
}
