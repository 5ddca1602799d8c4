package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// from analyses a FROM clause: its items are joined to sc's namespace one after the other.
func (a *analysis) from(q *query, list []sqlparse.Node, sc *scope) {
	for _, n := range list {
		j, ns := a.fromItem(q, n, sc)
		if j != nil {
			q.from = append(q.from, j)
		}
		sc.ns.add(ns)
	}
}

// fromItem analyses one item. sc is the level's scope; what LATERAL may see is its namespace so far.
func (a *analysis) fromItem(q *query, n sqlparse.Node, sc *scope) (*jnode, *namespace) {
	switch {
	case n.GetRangeVar() != nil:
		return a.rangeVar(q, n.GetRangeVar(), sc)
	case n.GetJoinExpr() != nil:
		return a.join(q, n.GetJoinExpr(), sc)
	case n.GetRangeSubselect() != nil:
		rs := n.GetRangeSubselect()
		inner := sc
		if !rs.Lateral {
			inner = &scope{parent: sc.parent, ctes: sc.ctes, level: sc.level}
		}
		sub := rs.Subquery.GetSelectStmt()
		if sub == nil {
			a.refuse(refStatement)
			return nil, &namespace{open: true}
		}
		r := a.subRel(q, a.query(sub, inner))
		r.lateral = rs.Lateral
		return a.leaf(r), expose(r, rs.Alias, "", "")
	case n.GetRangeTableSample() != nil:
		ts := n.GetRangeTableSample()
		var f fnFacts
		for _, arg := range ts.Args {
			a.expr(q, arg, sc, &f)
		}
		q.sample = q.sample || ts.Repeatable != nil
		j, ns := a.fromItem(q, ts.Relation, sc)
		if j != nil && j.rel != nil && j.rel.place != nil {
			j.rel.place.sampled = true
		}
		return j, ns
	default:
		return a.tableFunction(q, n, sc)
	}
}

// leaf is the tree node of one relation.
func (a *analysis) leaf(r *rel) *jnode { return &jnode{rel: r, leaves: []*rel{r}} }

// subRel makes a relation of an analysed query and links its columns with what they are.
func (a *analysis) subRel(q *query, sub *query) *rel {
	r := &rel{sub: sub, level: q, open: sub.open}
	for i, o := range sub.out {
		r.cols = append(r.cols, o.name)
		a.link(colID{r, i}, sub, i)
		a.constantColumn(colID{r, i}, sub, i)
	}
	q.rels = append(q.rels, r)
	return r
}

// constantColumn notes that a subquery's column holds nothing but constants. Untyped ones become text there
// (resolveTargetListUnknowns in parse_target.c).
func (a *analysis) constantColumn(out colID, sub *query, i int) {
	var exprs []sqlparse.Node
	switch {
	case sub.sel == nil || sub.dml || len(sub.arms) > 0:
		return
	case len(sub.sel.ValuesLists) > 0:
		for _, row := range sub.sel.ValuesLists {
			items := row.GetList().GetItems()
			if i >= len(items) {
				return
			}
			exprs = append(exprs, items[i])
		}
	case sub.out[i].expr != nil:
		exprs = append(exprs, sub.out[i].expr)
	}
	var vals []KeyValue
	var typ uint32
	for _, n := range exprs {
		v, ok := a.constant(n)
		if !ok || len(vals) >= maxAlternatives {
			return
		}
		if v.Source != SourceNull && v.TypeOID == 0 {
			v.TypeOID = shardmap.TextOID
		}
		if v.Source != SourceNull {
			if typ != 0 && typeClass(typ) != typeClass(v.TypeOID) {
				return
			}
			typ = v.TypeOID
		}
		vals = append(vals, v)
	}
	if len(vals) > 0 && typ != 0 {
		a.facts = append(a.facts, constFact{out, vals})
		if a.constTypes == nil {
			a.constTypes = map[colID]uint32{}
		}
		a.constTypes[out] = typ
	}
}

// link joins output column i of q with what it is in each arm.
func (a *analysis) link(out colID, q *query, i int) {
	for _, arm := range q.arms {
		if i < len(arm.out) && !arm.open {
			a.linkArm(out, arm, i, q)
		}
	}
	if len(q.arms) == 0 && q.out[i].id.r != nil {
		a.links = append(a.links, colLink{out: out, base: q.out[i].id, q: q, col: i})
	}
}

// noteNamed notes whether a name in FROM is that of a WITH query.
func (a *analysis) noteNamed(rv *sqlparse.RangeVar, with bool) {
	if a.named != nil {
		a.named[rv] = with
	}
}

// linkArm links through a set operation: only downwards, and only while every level lets the condition through.
func (a *analysis) linkArm(out colID, arm *query, i int, top *query) {
	if !top.pushable(i) {
		return
	}
	for _, sub := range arm.arms {
		if i < len(sub.out) && !sub.open {
			a.linkArm(out, sub, i, arm)
		}
	}
	if len(arm.arms) == 0 && arm.out[i].id.r != nil && arm.pushable(i) {
		a.edges = append(a.edges, edge{out, arm.out[i].id})
	}
}

// rangeVar analyses a name in FROM: a WITH query, a table or a view.
func (a *analysis) rangeVar(q *query, rv *sqlparse.RangeVar, sc *scope) (*jnode, *namespace) {
	if rv.Schemaname == "" && rv.Catalogname == "" {
		l := sc.ctes.find(rv.Relname)
		a.noteNamed(rv, l != nil)
		if l != nil {
			l.used = true
			if l.working {
				r := &rel{level: q, open: true}
				q.rels = append(q.rels, r)
				return a.leaf(r), expose(r, rv.Alias, rv.Relname, "")
			}
			r := a.subRel(q, a.reference(l))
			return a.leaf(r), expose(r, rv.Alias, rv.Relname, "")
		}
	}
	t, known := a.env.resolve(rv)
	if t != nil && t.Kind == TableView {
		outer := a.unit
		r := a.view(q, t)
		a.placed(r, rv, outer)
		return a.leaf(r), expose(r, rv.Alias, t.Name, t.Schema)
	}
	if t == nil && a.env.inShard(rv) {
		a.refuse(refShardSchema)
	}
	r := a.table(q, t, known)
	a.placed(r, rv, a.unit)
	a.reads(t, rv.Relname)
	name, schema := rv.Relname, rv.Schemaname
	if t != nil {
		schema = t.Schema
	} else if !known {
		a.unknown = append(a.unknown, strings.TrimPrefix(rv.Schemaname+"."+rv.Relname, "."))
	}
	return a.leaf(r), expose(r, rv.Alias, name, schema)
}

// placed notes where a relation is named.
func (a *analysis) placed(r *rel, rv *sqlparse.RangeVar, u *unit) {
	if u == nil {
		r.place = nil
		return
	}
	if r.place == nil {
		r.place = &place{}
	}
	r.place.unit, r.place.rv = u, rv
	a.all = append(a.all, r)
}

// table makes the relation of a table; t is nil for temporary tables, system catalogs and unknown names.
func (a *analysis) table(q *query, t *Table, known bool) *rel {
	r := &rel{level: q, table: t, open: t == nil || len(t.Columns) == 0 && t.Kind == TableSystem}
	q.rels = append(q.rels, r)
	if t == nil {
		a.primary = true
		if known {
			a.local = true
		}
		return r
	}
	for i := range t.Columns {
		r.cols = append(r.cols, t.Columns[i].Name)
	}
	a.primary = a.primary || t.Unlogged
	switch t.Kind {
	case TableLocal:
		a.local = true
		// Nobody reads the functions of a local table's policies, nor what a foreign table is.
		a.primary = a.primary || t.RLS || t.Relkind == 'f'
	case TableSystem:
		a.system = true
	case TableSequence:
		a.sequence = true
	case TableSharded, TableReference:
		a.rls(t)
	}
	a.rels = append(a.rels, r)
	return r
}

// view analyses a view's definition in its place.
func (a *analysis) view(q *query, t *Table) *rel {
	a.reads(t, t.Name)
	stmts, err := sqlparse.Parse(t.Definition)
	if err != nil || len(stmts) != 1 || stmts[0].Node.GetSelectStmt() == nil {
		a.refuse(refView)
		r := &rel{level: q, open: true}
		q.rels = append(q.rels, r)
		return r
	}
	if !t.Everywhere {
		a.local = true
	}
	a.foreign++
	outer := a.unit
	inner := &unit{text: t.Definition, tree: stmts[0].Node}
	a.unit = inner
	defer func() { a.foreign--; a.unit = outer }()
	r := a.subRel(q, a.query(stmts[0].Node.GetSelectStmt(), nil))
	inner.view = r
	r.place = &place{inner: inner, view: t}
	// The view's column names are its own: pg_class's, not its query's.
	if len(t.Columns) == len(r.cols) {
		r.cols = r.cols[:0:0]
		for i := range t.Columns {
			r.cols = append(r.cols, t.Columns[i].Name)
		}
	}
	return r
}

// resolve finds the relation a name means. known is true with a nil table for temporary tables and system
// catalogs that the snapshot does not list; false when there is no such relation in it.
func (e *Env) resolve(rv *sqlparse.RangeVar) (t *Table, known bool) {
	if rv.Catalogname != "" && rv.Catalogname != e.Schema.Database {
		return nil, true // PostgreSQL's own error, from home
	}
	name := rv.Relname
	switch schema := rv.Schemaname; {
	case schema == "pg_temp" || strings.HasPrefix(schema, "pg_temp_"):
		return nil, true
	case schema == "pg_catalog" || schema == "information_schema" || strings.HasPrefix(schema, "pg_toast"):
		return e.catalog(schema, name), true
	case schema != "":
		t = e.Schema.Resolve(schema, name, nil)
		return t, t != nil
	}
	if e.Temp[name] && !slices.Contains(e.Path, "pg_temp") {
		return nil, true
	}
	if systemRelations[name] && !slices.Contains(e.Path, "pg_catalog") {
		return e.catalog("pg_catalog", name), true
	}
	for _, p := range e.Path {
		switch {
		case p == "pg_catalog" && systemRelations[name]:
			return e.catalog(p, name), true
		case (p == "pg_temp" || strings.HasPrefix(p, "pg_temp_")) && e.Temp[name]:
			return nil, true
		}
		if t = e.Schema.Relations[p][name]; t != nil {
			return t, true
		}
	}
	return nil, false
}

// catalog is a system relation, with columns where the snapshot lists them.
func (e *Env) catalog(schema, name string) *Table {
	if t := e.Schema.Resolve(schema, name, nil); t != nil {
		return t
	}
	return &Table{Schema: schema, Name: name, Kind: TableSystem}
}
