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
	a.inserts = true
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

// onConflict analyses ON CONFLICT, which sees the target and the row called excluded.
func (a *analysis) onConflict(q *query, r *rel, oc *sqlparse.OnConflict, sc *scope) {
	ex := &rel{level: q, cols: r.cols, open: r.open}
	ns := &namespace{}
	ns.add(sc.ns)
	ns.add(expose(ex, nil, "excluded", ""))
	inner := &scope{ns: ns, parent: sc.parent, ctes: sc.ctes, level: q}
	if oc.WhereClause != nil {
		a.expr(q, oc.WhereClause, inner, &q.targetFacts)
	}
	for _, n := range oc.Infer.GetIndexElems() {
		a.expr(q, n, inner, &q.targetFacts)
	}
	var list []sqlparse.Node
	for _, n := range oc.TargetList {
		rt := n.GetResTarget()
		if id := a.column(assigned(rt.GetVal()), inner); id.r == ex && r.table != nil && r.table.Columns[id.i].Name == rt.GetName() {
			continue // SET k = excluded.k: a conflict on a unique index, which holds the key, has equal keys
		}
		list = append(list, n)
	}
	a.assignments(q, r, list, inner)
	if len(a.keyTo) > 0 || a.keyMoves {
		a.refuse(refKeyUpdate)
	}
}

// insertRows are the rows of VALUES.
func insertRows(s *sqlparse.InsertStmt) (rows [][]sqlparse.Node) {
	for _, l := range s.SelectStmt.GetSelectStmt().GetValuesLists() {
		rows = append(rows, l.GetList().GetItems())
	}
	return rows
}

// insertWidth is how many columns an INSERT without a column list gives values for; as few as it might be where that
// is not known.
func insertWidth(s *sqlparse.InsertStmt, q *query) int {
	if rows := insertRows(s); len(rows) > 0 {
		return len(rows[0])
	}
	if q.source == nil || q.source.open {
		return 0
	}
	return len(q.source.out)
}

// insert plans INSERT.
func (p *planner) insert(s *sqlparse.InsertStmt) {
	p.t.Command, p.t.Writes, p.t.Returns = "INSERT", true, len(s.ReturningList) > 0
	if s.OnConflictClause == nil && p.doesNothing(s.Relation, s.WithClause, ruleInsert) {
		return
	}
	a := p.analysis()
	p.selected(s)
	q, r := a.insertLevel(s, nil)
	a.solve()
	t := r.table
	if t == nil || t.Kind != TableSharded && t.Kind != TableReference {
		p.t.Effect = max(p.t.Effect, a.defaultsEffect(t))
		if p.decide(a, t) {
			p.t.NoScatter = refMixed
		}
		p.gatherAtHome(a, r)
		return
	}
	in, err := p.rows(a, s, t)
	switch {
	case a.err != nil:
		p.refuse(a.err)
	case err != nil:
		p.refuse(err)
	case in == nil && (s.SelectStmt == nil || plainValues(s)):
		// The lists do not fit the table, as far as can be seen: PostgreSQL says how. It must not run what it takes.
		p.refuse(refInsertLists)
		p.t.Unknown = true
	case t.Kind == TableReference:
		p.insertReference(a, q, r, in, s)
	case in == nil:
		p.insertSelect(a, q, r, s)
	default:
		p.insertSharded(a, q, r, in, s)
	}
}

// selected makes one row of VALUES with a function in it that gives a set, or a star, the SELECT that it is
// (transformInsertStmt in analyze.c).
func (p *planner) selected(s *sqlparse.InsertStmt) {
	if !plainValues(s) || len(insertRows(s)) != 1 {
		return
	}
	sets, plain := false, true
	for _, n := range insertRows(s)[0] {
		plain = plain && n.GetSetToDefault() == nil
		sqlparse.Walk(n, func(n sqlparse.Node) bool {
			sets = sets || n.GetAIndirection() != nil && hasStar(n.GetAIndirection().Indirection)
			if f := n.GetFuncCall(); f != nil {
				schema, name := listName(f.Funcname)
				sets = sets || p.env.functionFacts(schema, name)&fnSRF != 0
			}
			return n.GetSelectStmt() == nil
		})
	}
	if !sets || !plain {
		return
	}
	v := s.SelectStmt.GetSelectStmt()
	for _, n := range insertRows(s)[0] {
		v.TargetList = append(v.TargetList, sqlparse.Output(n))
	}
	v.ValuesLists = nil
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
func (p *planner) insertSharded(a *analysis, q *query, r *rel, in *Insert, s *sqlparse.InsertStmt) {
	if !p.decide(a, r.table) {
		if p.t.Kind == KindShards && p.t.NeedsHome && p.evaluable(a, q, in) {
			a.declareRows(in)
			// Sequences and the like are evaluated on home, cell by cell.
			p.t.NeedsHome, p.t.NoScatter = false, nil
			p.t.Kind, p.t.Insert = KindInsert, in
			p.t.Prune = nil
		} else if p.t.Kind == KindShards && s.SelectStmt != nil {
			p.readFirst(a, q, r, s, true)
		}
		return
	}
	a.declareRows(in)
	if p.t.Insert = in; !in.evaluates() && len(in.Rows) == 1 && !(r.prune.All && in.keyDefault()) {
		p.t.NoScatter = refNoKey
		if q.source != nil && q.source.hasSharded() || q.readsApart() {
			p.t.Insert = nil // wherever its own row goes, the query, ON CONFLICT or RETURNING reads other backends'
			p.readFirst(a, q, r, s, false)
		}
		return
	}
	if !p.evaluable(a, q, in) {
		if len(in.Rows) == 1 && !r.prune.All && !in.evaluates() {
			return
		}
		p.readFirst(a, q, r, s, true)
		return
	}
	p.t.Kind, p.t.Prune = KindInsert, nil
	p.t.Effect = max(p.t.Effect, a.evaluationEffect(in))
	if a.statementTrigger {
		p.t.NoScatter = refTriggerMulti
	}
}

// keyDefault reports whether a key column is DEFAULT where that is NULL.
func (in *Insert) keyDefault() bool {
	for _, r := range in.Rows {
		if slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Key >= 0 && c.Default }) {
			return true
		}
	}
	return false
}

// homeOnly are the facts of what home alone can evaluate.
const homeOnly = fnNextval | fnCurrval | fnHome | fnPins | fnTables

// evaluable reports whether the rows can be split and their cells evaluated apart: no relation but the target.
func (p *planner) evaluable(a *analysis, q *query, in *Insert) bool {
	others := 0
	q.walk(func(l *query) { others += len(l.rels) + len(l.subs) })
	return others == 1 && !a.local && !a.system && !a.sequence && !a.writes && a.noScatter == nil && q.targetFacts&homeOnly == 0
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
func (p *planner) insertReference(a *analysis, q *query, r *rel, in *Insert, s *sqlparse.InsertStmt) {
	p.t.Effect = max(p.t.Effect, a.effect())
	p.t.Unknown = len(a.unknown) > 0
	if in != nil && in.evaluates() {
		if a.fn&(fnSharded|fnDynamic) != 0 {
			p.refuse(refFuncSharded)
			return
		}
		if !p.evaluable(a, q, in) || a.fn&fnPins != 0 || q.targetFacts&(fnImpure&^fnStable&^fnClock|fnClockInside) != 0 {
			p.readCopies(a, q, r, s, refRefWrite)
			return
		}
		p.t.Kind, p.t.Insert = KindInsert, in
		p.t.Effect = max(p.t.Effect, a.evaluationEffect(in))
		return
	}
	if err := a.everywhere(q, r, false); err != nil {
		p.readCopies(a, q, r, s, err)
		return
	}
	if in == nil && len(a.missing(r.table, nil, 2)) > 0 {
		p.readCopies(a, q, r, s, refInsertRef)
		return
	}
	p.t.Kind = KindEverywhere
}

// readCopies plans an INSERT into a reference table by reading its rows first, so that every copy gets the same, or refuses
// it with why.
func (p *planner) readCopies(a *analysis, q *query, r *rel, s *sqlparse.InsertStmt, why *pgerr.Error) {
	if a.err != nil || len(a.unknown) > 0 || q.targetFacts&fnImpure&^fnStable != 0 || s.SelectStmt == nil {
		p.refuse(why)
		return
	}
	p.readFirst(a, q, r, s, true)
}
