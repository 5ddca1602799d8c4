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
		return a.fromItem(q, ts.Relation, sc)
	default:
		return a.tableFunction(q, n, sc)
	}
}

// tableFunction analyses a function, XMLTABLE or JSON_TABLE in FROM: its columns are not known, unless a
// scalar function gives it one column of its alias's name.
func (a *analysis) tableFunction(q *query, n sqlparse.Node, sc *scope) (*jnode, *namespace) {
	r := &rel{level: q, open: true, lateral: true}
	q.rels = append(q.rels, r)
	a.expr(q, n, sc, &r.facts)
	q.whereFacts |= r.facts
	var alias *sqlparse.Alias
	switch {
	case n.GetRangeFunction() != nil:
		alias = n.GetRangeFunction().Alias
		a.functionColumns(r, n, alias)
	case n.GetRangeTableFunc() != nil:
		alias = n.GetRangeTableFunc().Alias
	case n.GetJsonTable() != nil:
		alias = n.GetJsonTable().Alias
	}
	return a.leaf(r), expose(r, alias, "", "")
}

// pairSets are set-returning functions of columns key and value.
var pairSets = map[string]bool{"jsonb_each": true, "json_each": true, "jsonb_each_text": true, "json_each_text": true}

// scalarSets are set-returning functions of one column, whose output is named after the alias.
var scalarSets = map[string]bool{
	"generate_series": true, "unnest": true, "jsonb_array_elements": true, "json_array_elements": true,
	"jsonb_array_elements_text": true, "json_array_elements_text": true, "jsonb_object_keys": true,
	"json_object_keys": true, "jsonb_path_query": true, "regexp_split_to_table": true, "string_to_table": true,
	"generate_subscripts": true,
}

func (a *analysis) functionColumns(r *rel, n sqlparse.Node, alias *sqlparse.Alias) {
	f := n.GetRangeFunction()
	if len(f.Functions) != 1 || f.Ordinality {
		return
	}
	items := f.Functions[0].GetList().GetItems()
	if len(items) == 0 {
		return
	}
	call := items[0].GetFuncCall()
	if call == nil {
		return
	}
	name := sqlparse.Strings(call.Funcname)
	if len(name) == 1 && a.env.Schema.Functions[name[0]] != nil {
		return // perhaps the user's
	}
	if len(f.Coldeflist) > 0 {
		r.cols, r.open = columnNames(f.Coldeflist), false
		return
	}
	if len(name) == 1 && pairSets[name[0]] {
		r.cols, r.open = []string{"key", "value"}, false
		return
	}
	if len(name) != 1 || !scalarSets[name[0]] || len(call.Args) == 0 || name[0] == "unnest" && len(call.Args) != 1 {
		return
	}
	r.cols, r.open = []string{name[0]}, false
	if alias != nil {
		r.cols[0] = alias.Aliasname
	}
}

// columnNames reads a column definition list: AS t(a int, b text).
func columnNames(list []sqlparse.Node) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.GetColumnDef().GetColname())
	}
	return out
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
		if l := sc.ctes.find(rv.Relname); l != nil {
			if l.working {
				l.used = true
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
		r := a.view(q, t)
		return a.leaf(r), expose(r, rv.Alias, t.Name, t.Schema)
	}
	r := a.table(q, t, known)
	name, schema := rv.Relname, rv.Schemaname
	if t != nil {
		schema = t.Schema
	} else if !known {
		a.unknown = append(a.unknown, strings.TrimPrefix(rv.Schemaname+"."+rv.Relname, "."))
	}
	return a.leaf(r), expose(r, rv.Alias, name, schema)
}

// table makes the relation of a table; t is nil for temporary tables, system catalogs and unknown names.
func (a *analysis) table(q *query, t *Table, known bool) *rel {
	r := &rel{level: q, table: t, open: t == nil || len(t.Columns) == 0 && t.Kind == TableSystem}
	q.rels = append(q.rels, r)
	if t == nil {
		if known {
			a.local = true
		}
		return r
	}
	for i := range t.Columns {
		r.cols = append(r.cols, t.Columns[i].Name)
	}
	switch t.Kind {
	case TableLocal:
		a.local = true
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
	defer func() { a.foreign-- }()
	r := a.subRel(q, a.query(stmts[0].Node.GetSelectStmt(), nil))
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

// join analyses a JOIN.
func (a *analysis) join(q *query, j *sqlparse.JoinExpr, sc *scope) (*jnode, *namespace) {
	left, lns := a.fromItem(q, j.Larg, sc)
	// LATERAL on the right sees the left side too.
	seen := &namespace{}
	seen.add(sc.ns)
	seen.add(lns)
	right, rns := a.fromItem(q, j.Rarg, &scope{ns: seen, parent: sc.parent, ctes: sc.ctes, level: sc.level})
	if left == nil || right == nil {
		return nil, &namespace{open: true}
	}
	node := &jnode{typ: j.Jointype, left: left, right: right, quals: j.Quals}
	node.leaves = append(append(node.leaves, left.leaves...), right.leaves...)
	var dom []*rel
	switch j.Jointype {
	case sqlparse.JoinInner:
		dom = node.leaves
	case sqlparse.JoinLeft:
		dom = right.leaves
		setNullable(right.leaves)
	case sqlparse.JoinRight:
		dom = left.leaves
		setNullable(left.leaves)
	case sqlparse.JoinFull:
		setNullable(node.leaves)
	default:
		a.refuse(refStatement)
	}
	using := sqlparse.Strings(j.UsingClause)
	if j.IsNatural {
		names, ok := common(lns, rns)
		if !ok {
			lns.open = true
		}
		using = names
	}
	ns := merged(lns, rns, using, j.Jointype)
	for _, u := range using {
		l, lok, _ := lns.unqualified(u)
		r, rok, _ := rns.unqualified(u)
		if lok && rok {
			node.using = append(node.using, [2]colID{l, r})
			a.equal(node, l, r, dom)
		}
	}
	on := &scope{ns: ns, parent: sc.parent, ctes: sc.ctes, level: sc.level}
	node.on = on
	if j.Quals != nil {
		a.expr(q, j.Quals, on, &q.whereFacts)
		a.conjunct(q, j.Quals, on, dom)
		if j.Jointype == sqlparse.JoinFull {
			a.fullEquals(node, j.Quals, on)
		}
	}
	if alias := j.JoinUsingAlias; alias != nil {
		it := nsItem{name: alias.Aliasname}
		for _, c := range ns.cols[:len(using)] {
			it.cols = append(it.cols, c)
		}
		ns.items = append(ns.items, it)
	}
	if j.Alias != nil {
		ns = renamed(ns, j.Alias)
	}
	return node, ns
}

// renamed is a join's namespace behind an alias: the tables inside cannot be named any more.
func renamed(ns *namespace, alias *sqlparse.Alias) *namespace {
	cols := append([]nsCol(nil), ns.cols...)
	for i, c := range sqlparse.Strings(alias.Colnames) {
		if i < len(cols) {
			cols[i].name = c
		}
	}
	return &namespace{cols: cols, open: ns.open, items: []nsItem{{name: alias.Aliasname, cols: cols, open: ns.open}}}
}

func setNullable(rels []*rel) {
	for _, r := range rels {
		r.nullable = true
	}
}
