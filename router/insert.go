package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// insertLevel analyses INSERT. The target's key follows the source's columns; of several VALUES rows nothing is
// said here.
func (a *analysis) insertLevel(s *sqlparse.InsertStmt, outer *scope) (*query, *rel) {
	op := opInsert
	if s.OnConflictClause.GetAction() == sqlparse.ConflictUpdate {
		op |= opUpdate
	}
	q, sc, r := a.writeLevel(s.Relation, s.WithClause, outer, op)
	r.stores = true
	// The source does not see the target.
	below := &scope{parent: outer, ctes: sc.ctes, level: q}
	if src := s.SelectStmt.GetSelectStmt(); src != nil {
		sub := a.query(src, below)
		q.source = sub
		a.placeSource(r, s, sub)
		a.sourceKey(r, s, sub)
	} else if r.table != nil && r.table.Kind == TableSharded {
		for _, k := range r.table.Key {
			a.facts = append(a.facts, constFact{colID{r, k}, []KeyValue{{Source: SourceNull}}})
		}
	}
	if oc := s.OnConflictClause; oc != nil {
		a.onConflict(q, r, oc, sc)
	}
	a.returning(q, s.ReturningList, sc)
	return q, r
}

// placeSource notes the types of parameters that are inserted as they are.
func (a *analysis) placeSource(r *rel, s *sqlparse.InsertStmt, sub *query) {
	if r.table == nil || len(sub.arms) > 0 {
		return
	}
	columns := columnPositions(r.table, s.Cols)
	place := func(i int, n sqlparse.Node) {
		if i < len(columns) && columns[i] >= 0 {
			a.params.place(n, typeClass(r.table.Columns[columns[i]].TypeOID))
		}
	}
	for _, row := range sub.sel.GetValuesLists() {
		for i, n := range row.GetList().GetItems() {
			place(i, n)
		}
	}
	for i, o := range sub.out {
		if o.expr != nil {
			place(i, o.expr)
		}
	}
}

// sourceKey ties the target's key columns to what the source gives them; a column that is left out is NULL.
func (a *analysis) sourceKey(r *rel, s *sqlparse.InsertStmt, sub *query) {
	t := r.table
	if t == nil || t.Kind != TableSharded {
		return
	}
	positions := columnPositions(t, s.Cols)
	for _, k := range t.Key {
		to := colID{r, k}
		i := slices.Index(positions, k)
		switch {
		case i < 0:
			a.facts = append(a.facts, constFact{to, []KeyValue{{Source: SourceNull}}})
		case len(sub.sel.GetValuesLists()) == 1:
			row := sub.sel.ValuesLists[0].GetList().GetItems()
			if i < len(row) {
				if v, ok := a.constant(row[i]); ok {
					a.facts = append(a.facts, constFact{to, []KeyValue{v}})
				}
			}
		case len(sub.arms) > 0 || sub.open || i >= len(sub.out):
		case neverExtended(sub.out[i].id):
			a.edges = append(a.edges, edge{sub.out[i].id, to})
		case sub.out[i].expr != nil:
			if v, ok := a.constant(sub.out[i].expr); ok {
				a.facts = append(a.facts, constFact{to, []KeyValue{v}})
			}
		}
	}
}

// neverExtended reports whether a column is never NULL for an outer join's sake. Only then are the values that its
// table is restricted to all that it can hold.
func neverExtended(c colID) bool {
	for c.r != nil && !c.r.nullable {
		if c.r.sub == nil {
			return true
		}
		q := c.r.sub
		if len(q.arms) > 0 || q.dml || q.groupingSets || c.i >= len(q.out) {
			return false
		}
		if q.out[c.i].id.r == nil {
			return q.out[c.i].expr != nil // a constant, or not restricted at all
		}
		c = q.out[c.i].id
	}
	return false
}

// onConflict analyses ON CONFLICT, which sees the target and the row called excluded.
func (a *analysis) onConflict(q *query, r *rel, oc *sqlparse.OnConflict, sc *scope) {
	ex := &rel{level: q, cols: r.cols, open: r.open}
	ns := &namespace{}
	ns.add(sc.ns)
	ns.add(expose(ex, nil, "excluded", ""))
	inner := &scope{ns: ns, parent: sc.parent, ctes: sc.ctes, level: q}
	var f fnFacts
	if oc.WhereClause != nil {
		a.expr(q, oc.WhereClause, inner, &f)
	}
	for _, n := range oc.Infer.GetIndexElems() {
		a.expr(q, n, inner, &f)
	}
	var list []sqlparse.Node
	for _, n := range oc.TargetList {
		rt := n.GetResTarget()
		if id := a.column(rt.GetVal(), inner); id.r == ex && r.table != nil && r.table.Columns[id.i].Name == rt.GetName() {
			continue // SET k = excluded.k: a conflict on a unique index, which holds the key, has equal keys
		}
		list = append(list, n)
	}
	a.assignments(q, r, list, inner)
	if len(a.keyTo) > 0 {
		a.refuse(refKeyUpdate)
	}
}

// insert plans INSERT.
func (p *planner) insert(s *sqlparse.InsertStmt) {
	p.t.Command, p.t.Writes, p.t.Returns = "INSERT", true, len(s.ReturningList) > 0
	a := p.analysis()
	q, r := a.insertLevel(s, nil)
	a.solve()
	t := r.table
	if t == nil || t.Kind != TableSharded && t.Kind != TableReference {
		p.t.Effect = max(p.t.Effect, a.defaultsEffect(t))
		if p.decide(a, t) {
			p.t.NoScatter = refMixed
		}
		return
	}
	in, err := p.rows(a, s, t)
	switch {
	case a.err != nil:
		p.refuse(a.err)
	case err != nil:
		p.refuse(err)
	case in == nil && (s.SelectStmt == nil || plainValues(s)):
		// The lists do not fit the table: PostgreSQL says how.
		p.t.Kind, p.t.Unknown = KindHome, true
	case t.Kind == TableReference:
		p.insertReference(a, q, r, in)
	case in == nil:
		p.insertSelect(a, q, r, s)
	default:
		p.insertSharded(a, q, r, in)
	}
}

// plainValues is true for INSERT … VALUES with nothing around the list.
func plainValues(s *sqlparse.InsertStmt) bool {
	v := s.SelectStmt.GetSelectStmt()
	return v != nil && len(v.ValuesLists) > 0 && len(v.SortClause) == 0 && v.LimitCount == nil && v.LimitOffset == nil &&
		v.WithClause == nil && len(v.LockingClause) == 0
}

// defaultsEffect is what the defaults of a local table's columns may leave behind.
func (a *analysis) defaultsEffect(t *Table) Effect {
	if t == nil {
		return EffectNone
	}
	for i := range t.Columns {
		if f := a.defaultFacts(t.Columns[i]); f&(fnPins|fnSharded) != 0 {
			return EffectPins
		} else if f&(fnNextval|fnUnknown|fnVolatile|fnCurrval) != 0 {
			return EffectUnclean
		}
	}
	return EffectNone
}

// evaluationEffect is what evaluating an INSERT's defaults on home leaves there: currval and lastval.
func (a *analysis) evaluationEffect(in *Insert) Effect {
	columns := in.Missing
	for _, r := range in.Rows {
		for j, c := range r.Cells {
			if c.Eval && c.Default {
				columns = append(columns[:len(columns):len(columns)], in.Columns[j])
			}
		}
	}
	for _, i := range columns {
		if a.defaultFacts(in.Table.Columns[i])&(fnNextval|fnUnknown|fnVolatile|fnPins) != 0 {
			return EffectUnclean
		}
	}
	return EffectNone
}

// defaultFacts says what evaluating a column's default means.
func (a *analysis) defaultFacts(c Column) fnFacts {
	if c.Identity != 0 {
		return fnNextval
	}
	if c.Default == "" || c.Generated || c.DefaultVol == 'i' {
		return 0
	}
	n, err := sqlparse.ParseExpr(c.Default)
	if err != nil {
		return fnUnknown
	}
	in := &analysis{env: a.env, foreign: 1}
	q := &query{}
	q.scope = &scope{ns: &namespace{}, level: q}
	var f fnFacts
	in.expr(q, n, q.scope, &f)
	return f
}

// insertSharded plans INSERT … VALUES into a sharded table.
func (p *planner) insertSharded(a *analysis, q *query, r *rel, in *Insert) {
	if !p.decide(a, r.table) {
		if p.t.Kind == KindShards && p.t.NeedsHome && p.evaluable(a, q, in) {
			a.declareRows(in)
			// Sequences and the like are evaluated on home, cell by cell.
			p.t.NeedsHome, p.t.NoScatter = false, nil
			p.t.Kind, p.t.Insert = KindInsert, in
			p.t.Prune = nil
		}
		return
	}
	a.declareRows(in)
	if p.t.Insert = in; !in.evaluates() && len(in.Rows) == 1 {
		p.t.NoScatter = refNoKey
		return
	}
	if !p.evaluable(a, q, in) {
		if len(in.Rows) == 1 && !r.prune.All && !in.evaluates() {
			return
		}
		p.refuse(refKeyDefault)
		return
	}
	p.t.Kind, p.t.Prune = KindInsert, nil
	p.t.Effect = max(p.t.Effect, a.evaluationEffect(in))
	if a.statementTrigger {
		p.t.NoScatter = refTriggerMulti
	}
}

// evaluable reports whether the rows can be split and their cells evaluated apart: no relation but the target.
func (p *planner) evaluable(a *analysis, q *query, in *Insert) bool {
	others := 0
	q.walk(func(l *query) { others += len(l.rels) + len(l.subs) })
	return others == 1 && !a.local && !a.system && !a.sequence && !a.writes && a.noScatter == nil && a.fn&fnCurrval == 0
}

// evaluates reports whether something must be evaluated on home before the rows can be placed.
func (in *Insert) evaluates() bool {
	if len(in.Missing) > 0 {
		return true
	}
	for _, r := range in.Rows {
		for _, c := range r.Cells {
			if c.Eval {
				return true
			}
		}
	}
	return false
}

// insertReference plans INSERT into a reference table.
func (p *planner) insertReference(a *analysis, q *query, r *rel, in *Insert) {
	p.t.Effect = max(p.t.Effect, a.effect())
	p.t.Unknown = len(a.unknown) > 0
	p.t.ClockWords = a.readsTimes()
	if in != nil && in.evaluates() {
		if a.fn&(fnSharded|fnDynamic) != 0 {
			p.refuse(refFuncSharded)
			return
		}
		if !p.evaluable(a, q, in) || a.fn&fnPins != 0 || q.targetFacts&fnImpure&^fnStable != 0 {
			p.refuse(refRefWrite)
			return
		}
		p.t.Kind, p.t.Insert = KindInsert, in
		p.t.Effect = max(p.t.Effect, a.evaluationEffect(in))
		return
	}
	if err := a.everywhere(q, r); err != nil {
		p.refuse(err)
		return
	}
	if in == nil && len(a.missing(r.table, nil, 2)) > 0 {
		p.refuse(refInsertRef)
		return
	}
	p.t.Kind = KindEverywhere
}

// insertSelect plans INSERT … SELECT into a sharded table: where the source's rows are on one backend with the
// target's, or pushed down to each backend when the target's key is the source's.
func (p *planner) insertSelect(a *analysis, q *query, r *rel, s *sqlparse.InsertStmt) {
	positions := columnPositions(r.table, s.Cols)
	if n := len(q.source.out); !q.source.open && n < len(positions) && len(s.Cols) == 0 {
		positions = positions[:n]
	}
	if len(a.missing(r.table, positions, 1)) > 0 {
		p.refuse(refInsertSelect)
		return
	}
	if !p.decide(a, r.table) {
		return
	}
	p.t.ClockWords = a.readsTimes()
	if len(a.missing(r.table, positions, 2)) > 0 {
		p.t.NoScatter = refInsertSelect
		return
	}
	p.t.Scatter, p.t.NoScatter = a.pushDown(q, r, positions)
}

func (a *analysis) pushDown(q *query, r *rel, positions []int) (*Scatter, *pgerr.Error) {
	if err := a.several(q); err != nil {
		return nil, err
	}
	if a.statementTrigger {
		return nil, refTriggerMulti
	}
	src := q.source
	s, err := a.distributor().level(src, false)
	switch {
	case err != nil:
		return nil, err
	case !s.sharded || len(q.subs) > 0:
		return nil, refInsertSelect
	case src.targetClock() || q.targetClock():
		return nil, refClock
	}
	for _, k := range positionsOf(src, s) {
		if k.weak || k.group != r.table.Group || len(k.cols) != len(r.table.Key) {
			continue
		}
		ok := true
		for i, c := range k.cols {
			ok = ok && c < len(positions) && positions[c] == r.table.Key[i] && a.storedAlike(src, c, r.table.Columns[r.table.Key[i]])
		}
		if ok {
			return &Scatter{Modifies: true}, nil
		}
	}
	return nil, refInsertSelect
}

// storedAlike reports whether a source column's values are stored in the target's column unchanged.
func (a *analysis) storedAlike(src *query, i int, to Column) bool {
	if i >= len(src.out) || len(src.arms) > 0 {
		return false
	}
	id := src.out[i].id
	for id.r != nil && id.r.sub != nil && id.i < len(id.r.sub.out) {
		id = id.r.sub.out[id.i].id
	}
	if id.r == nil || id.r.table == nil || id.i >= len(id.r.table.Columns) {
		return false
	}
	from := id.r.table.Columns[id.i]
	return typeClass(from.TypeOID) == typeClass(to.TypeOID) && (to.Typmod == -1 || to.Typmod == from.Typmod && to.TypeOID == from.TypeOID)
}
