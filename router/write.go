package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// operation is what a write does to its target.
type operation uint8

const (
	opInsert operation = 1 << iota
	opUpdate
	opDelete
)

// writeLevel starts the query level of a write: its WITH queries and its target, which is the first relation.
func (a *analysis) writeLevel(rv *sqlparse.RangeVar, w *sqlparse.WithClause, outer *scope, op operation) (*query, *scope, *rel) {
	q := &query{sel: &sqlparse.SelectStmt{Op: sqlparse.SetNone}}
	sc := &scope{ns: &namespace{}, parent: outer, level: q}
	if outer != nil {
		sc.ctes = outer.ctes
	}
	q.scope = sc
	a.with(w, sc)
	a.noteNamed(rv, false)
	t, known := a.env.resolve(rv)
	var r *rel
	switch {
	case t != nil && t.Kind == TableView:
		if r = a.throughView(q, t, op); r == nil {
			r = a.view(q, t)
			a.viewTarget(t, r.sub, op)
		}
	case t == nil && !known:
		a.unknown = append(a.unknown, rv.Relname)
		r = &rel{level: q, open: true}
		q.rels = append(q.rels, r)
	default:
		r = a.table(q, t, known)
	}
	if t == nil && a.env.inShard(rv) {
		a.refuse(refShardSchema)
	}
	r.target = true
	a.reads(t, rv.Relname)
	if t == nil || t.Kind != TableView || r.table == nil {
		a.targetTable(t, op)
	}
	a.target = t
	if t != nil && t.Kind == TableView && op&opInsert != 0 {
		a.hiddenClock = a.hiddenClock || a.defaultClock(r.table)
	}
	schema := rv.Schemaname
	if t != nil {
		schema = t.Schema
	}
	q.from = append(q.from, a.leaf(r))
	sc.ns.add(expose(r, rv.Alias, rv.Relname, schema))
	return q, sc, r
}

// viewTarget refuses writes through views that lead to sharded or reference tables.
func (a *analysis) viewTarget(t *Table, q *query, op operation) {
	distributed := t.ChangeReach&ReachSharded != 0 && !t.instead(op) || t.Touches || q == nil
	if q != nil {
		q.walk(func(q *query) {
			for _, r := range q.rels {
				distributed = distributed || r.table != nil && (r.table.Kind == TableSharded || r.table.Kind == TableReference)
			}
		})
	}
	if distributed {
		a.refuse(refViewWrite)
	}
	a.local = true
	for _, r := range a.rels {
		a.hiddenClock = a.hiddenClock || a.defaultClock(r.table)
	}
}

// instead reports whether a view's triggers run in place of the writes: the only ones for each row that a view can have.
func (t *Table) instead(op operation) bool {
	var fired operation
	for _, tr := range t.Triggers {
		for _, on := range []struct {
			fires bool
			op    operation
		}{{tr.OnInsert, opInsert}, {tr.OnUpdate, opUpdate}, {tr.OnDelete, opDelete}} {
			if tr.Row && on.fires {
				fired |= on.op
			}
		}
	}
	return op != 0 && op&^fired == 0
}

// defaultClock reports whether a column's default reads the time.
func (a *analysis) defaultClock(t *Table) bool {
	return t != nil && slices.ContainsFunc(t.Columns, func(c Column) bool { return a.defaultFacts(c)&(fnClock|fnClockInside) != 0 })
}

// targetTable checks what runs beside a write: triggers, rules, and the code of constraints, indexes and defaults.
func (a *analysis) targetTable(t *Table, op operation) {
	if t == nil {
		return
	}
	distributed := t.Kind == TableSharded || t.Kind == TableReference
	if t.HasRules && distributed {
		a.refuse(refRules)
	}
	a.reaches(t.WriteReach, distributed)
	a.hiddenClock = a.hiddenClock || t.WriteReach&ReachClock != 0
	for _, c := range t.Columns {
		if op&(opInsert|opUpdate) != 0 && !c.Generated {
			// What is evaluated on home first may use local tables.
			a.reaches(c.DefaultReach, distributed && c.DefaultVol != 'v')
		}
	}
	for _, tr := range t.Triggers {
		if tr.OnInsert && op&opInsert != 0 || tr.OnUpdate && op&opUpdate != 0 || tr.OnDelete && op&opDelete != 0 {
			a.trigger(t, tr, distributed)
		}
	}
	if distributed && op&opDelete != 0 {
		a.actions(t, map[uint32]bool{})
	}
}

// actions looks at the tables whose rows foreign keys' actions on DELETE change: their statement-level triggers fire, too.
func (a *analysis) actions(t *Table, seen map[uint32]bool) {
	for _, oid := range t.ActsOn {
		on := a.env.Schema.ByOID[oid]
		if on == nil || seen[oid] {
			continue
		}
		seen[oid] = true
		for _, tr := range on.Triggers {
			switch {
			case tr.Row || !tr.OnUpdate && !tr.OnDelete:
			case t.Kind == TableReference:
				a.refuse(refTriggerMulti)
			default:
				a.statementTrigger = true
			}
		}
		a.actions(on, seen)
	}
}

// reaches notes code that runs without being named. alone is true where home's tables would be missing or would be
// used once on each backend.
func (a *analysis) reaches(r Reach, alone bool) {
	f := a.env.reachFacts(r)
	switch {
	case r&ReachSharded != 0:
		a.refuse(refReach)
	case alone && r&(ReachFiredName|ReachFiredOID) != 0:
		a.refuse(refTriggerName)
	case alone && f&(fnTables|fnNextval) != 0:
		a.refuse(refReachLocal)
	}
	if r&ReachState != 0 {
		a.fn |= fnPins
		a.triggerPins = true
	}
	if !alone {
		a.fn |= f & fnNextval
	}
}

func (a *analysis) trigger(t *Table, tr Trigger, distributed bool) {
	if !tr.Row && distributed {
		a.statementTrigger = true
	}
	f := tr.Function
	if f == nil {
		return
	}
	facts := a.env.reachFacts(f.Reach)
	if facts&fnPins != 0 {
		a.fn |= fnPins
		a.triggerPins = true
	}
	if !distributed {
		a.fn |= facts & fnNextval
	}
	a.hiddenClock = a.hiddenClock || facts&fnClockInside != 0
	switch {
	case facts&fnSharded != 0:
		a.refuse(refTriggerAny)
	case facts&(fnTables|fnNextval) != 0 && distributed:
		a.refuse(refTrigger)
	case firedElsewhere(t, tr.Row, facts):
		a.refuse(refTriggerName)
	case t.Kind == TableReference && f.Volatility != 'i':
		a.refuse(refTriggerRef)
	}
}

// firedElsewhere tells whether a trigger function with these facts would take a partition's name or one backend's oid for
// its table's.
func firedElsewhere(t *Table, row bool, f fnFacts) bool {
	switch t.Kind {
	case TableSharded:
		return row && f&fnFiredName != 0 || f&fnFiredOID != 0
	case TableReference:
		return f&fnFiredOID != 0
	}
	return false
}

func (a *analysis) updateLevel(s *sqlparse.UpdateStmt, outer *scope) (*query, *rel) {
	q, sc, r := a.writeLevel(s.Relation, s.WithClause, outer, opUpdate)
	// SET and WHERE see FROM; SET's names are the target's columns.
	a.from(q, s.FromClause, sc)
	a.where(q, s.WhereClause, sc)
	a.assignments(q, r, s.TargetList, sc)
	a.returning(q, s.ReturningList, sc)
	return q, r
}

func (a *analysis) deleteLevel(s *sqlparse.DeleteStmt, outer *scope) (*query, *rel) {
	q, sc, r := a.writeLevel(s.Relation, s.WithClause, outer, opDelete)
	a.from(q, s.UsingClause, sc)
	a.where(q, s.WhereClause, sc)
	a.returning(q, s.ReturningList, sc)
	return q, r
}

func (a *analysis) returning(q *query, list []sqlparse.Node, sc *scope) {
	for _, n := range list {
		a.expr(q, n, sc, &q.targetFacts)
	}
	a.oldNew = a.oldNew || namesOldNew(list, sc)
}

// namesOldNew reports whether RETURNING means the row as it was or as it is now, by PostgreSQL 18's OLD and NEW: what takes the
// statement apart would make other rows of them. A relation or column of that name comes first.
func namesOldNew(list []sqlparse.Node, sc *scope) bool {
	found := false
	sqlparse.WalkList(list, func(n sqlparse.Node) bool {
		ref := n.GetColumnRef()
		if ref == nil {
			return !found
		}
		names := sqlparse.Strings(ref.Fields)
		if len(names) == 0 || names[0] != "old" && names[0] != "new" {
			return !found
		}
		if id, _ := sc.lookup(ref); id != (colID{}) {
			return !found
		}
		for s := sc; s != nil; s = s.parent {
			if s.ns != nil && slices.ContainsFunc(s.ns.items, func(it nsItem) bool { return it.name == names[0] }) {
				return !found
			}
		}
		found = true
		return false
	})
	return found
}

// assignments reads SET: which key columns get which values.
func (a *analysis) assignments(q *query, r *rel, list []sqlparse.Node, sc *scope) {
	for _, n := range list {
		rt := n.GetResTarget()
		if rt == nil {
			continue
		}
		a.expr(q, n, sc, &q.targetFacts)
		t := r.table
		if t == nil {
			continue
		}
		i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == rt.Name })
		if i < 0 {
			continue
		}
		if setsDefault(rt.Val) {
			a.usesDefault(q, t.Columns[i])
		}
		if rt.Val.GetSetToDefault() != nil && t.Kind == TableReference && !sameDefault(t.Columns[i]) {
			a.refuse(refRefWrite)
		}
		a.params.place(rt.Val, typeClass(t.Columns[i].TypeOID))
		if len(rt.Indirection) == 0 {
			a.placeColumn(rt.Val, &t.Columns[i])
		}
		if !slices.Contains(t.Key, i) {
			continue
		}
		if c := a.column(rt.Val, sc); c == (colID{r, i}) {
			continue // SET k = k
		}
		v, ok := a.constant(rt.Val)
		if !ok || len(rt.Indirection) > 0 {
			a.keyMoves = true
			continue
		}
		if a.keyTo == nil {
			a.keyTo = map[colID]KeyValue{}
		}
		a.keyTo[colID{r, i}] = v
	}
}

// setsDefault recognises SET column = DEFAULT, and SET (…, column) = (…, DEFAULT).
func setsDefault(val sqlparse.Node) bool { return assigned(val).GetSetToDefault() != nil }

// assigned is what SET gives a column: in SET (…, column) = (…, value) the value.
func assigned(val sqlparse.Node) sqlparse.Node {
	if m := val.GetMultiAssignRef(); m != nil {
		if args := m.Source.GetRowExpr().GetArgs(); m.Colno >= 1 && int(m.Colno) <= len(args) {
			return args[m.Colno-1]
		}
	}
	return val
}

// usesDefault notes that a column's default is evaluated where the row is, and so what home alone can evaluate.
func (a *analysis) usesDefault(q *query, c Column) {
	f := a.defaultFacts(c)
	a.hiddenClock = a.hiddenClock || f&(fnClock|fnClockInside) != 0
	f &^= fnClock | fnClockInside
	a.fn |= f
	q.targetFacts |= f
}

// usesDefaults is usesDefault for an INSERT that runs as it stands, with these columns and, of VALUES, these rows.
func (a *analysis) usesDefaults(q *query, t *Table, cols []sqlparse.Node, width int, rows ...[]sqlparse.Node) {
	if t == nil {
		return
	}
	positions := columnPositions(t, cols)
	if len(cols) == 0 && width < len(positions) {
		positions = positions[:max(width, 0)]
	}
	for i, c := range t.Columns {
		at := slices.Index(positions, i)
		if at < 0 && !c.Generated || slices.ContainsFunc(rows, func(row []sqlparse.Node) bool {
			return at >= 0 && at < len(row) && row[at].GetSetToDefault() != nil
		}) {
			a.usesDefault(q, c)
		}
	}
}

// partDefaults is usesDefaults for an INSERT in a WITH query. Where defaults read the time, it is a statement of its own that
// gives them the transaction's.
func (a *analysis) partDefaults(q *query, t *Table, s *sqlparse.InsertStmt) {
	hidden := a.hiddenClock
	a.usesDefaults(q, t, s.Cols, insertWidth(s, q), insertRows(s)...)
	if hidden || !a.hiddenClock || t.Kind == TableView {
		return
	}
	for _, c := range t.Columns {
		if a.defaultFacts(c)&fnClockInside != 0 || strings.Contains(c.Default, "statement_timestamp") {
			return
		}
	}
	a.hiddenClock, a.defaultClocks = false, true
}

// sameDefault reports whether a column's default gives every backend the same value.
func sameDefault(c Column) bool { return c.Default == "" || c.DefaultVol == 'i' && c.Identity == 0 }

// newKey is the key that rows of r have after the update: r's own where SET leaves a column alone.
func (a *analysis) newKey(r *rel) (*Pruner, *pgerr.Error) {
	if len(a.keyTo) == 0 {
		return nil, nil
	}
	if r.prune.All || len(r.prune.Tuples) != 1 {
		return nil, refKeyUpdate
	}
	key := slices.Clone(r.prune.Tuples[0])
	for i, k := range r.table.Key {
		if key[i].List > 0 {
			return nil, refKeyUpdate
		}
		if v, ok := a.keyTo[colID{r, k}]; ok {
			key[i] = v
		}
		if key[i].Array {
			return nil, refKeyUpdate
		}
	}
	to := &Pruner{Table: r.table, Tuples: []KeyTuple{key}, Stores: true}
	a.declareAll(to)
	return to, nil
}

// modifying analyses a data-modifying WITH query where it stands.
func (a *analysis) modifying(l *cteList) *query {
	sc := &scope{parent: l.scope.parent, ctes: l.visible, level: l.scope.level}
	n := l.node.Ctequery
	var q *query
	var r *rel
	switch {
	case n.GetInsertStmt() != nil:
		q, r = a.insertLevel(n.GetInsertStmt(), sc)
		a.partDefaults(q, r.table, n.GetInsertStmt())
	case n.GetUpdateStmt() != nil:
		q, r = a.updateLevel(n.GetUpdateStmt(), sc)
	case n.GetDeleteStmt() != nil:
		q, r = a.deleteLevel(n.GetDeleteStmt(), sc)
	case n.GetMergeStmt() != nil:
		q, r = a.mergeLevel(n.GetMergeStmt(), sc)
	default:
		a.refuse(refStatement)
		return &query{open: true, dml: true}
	}
	if r.table != nil && r.table.Kind == TableReference {
		a.refuse(refRefCTE)
	}
	if len(a.keyTo) > 0 || a.keyMoves {
		a.refuse(refKeyUpdate)
	}
	q.dml, q.open = true, true
	return q
}

// update plans UPDATE.
func (p *planner) update(s *sqlparse.UpdateStmt) {
	p.t.Command, p.t.Writes, p.t.Returns = "UPDATE", true, len(s.ReturningList) > 0
	if p.doesNothing(s.Relation, s.WithClause, ruleUpdate) {
		return
	}
	a := p.analysis()
	q, r := a.updateLevel(s, nil)
	p.changes(a, q, r)
	if p.t.Kind == KindShards && r.sharded() && (a.keyMoves || len(a.keyTo) > 0) {
		p.movesRows(a, q, r, s)
		return
	}
	p.currentOf(r, s.WhereClause)
}

// delete plans DELETE.
func (p *planner) delete(s *sqlparse.DeleteStmt) {
	p.t.Command, p.t.Writes, p.t.Returns = "DELETE", true, len(s.ReturningList) > 0
	if p.doesNothing(s.Relation, s.WithClause, ruleDelete) {
		return
	}
	a := p.analysis()
	q, r := a.deleteLevel(s, nil)
	p.changes(a, q, r)
	p.currentOf(r, s.WhereClause)
}

// currentOf plans WHERE CURRENT OF: the cursor's row says where, if no other sharded relation has to be there too.
func (p *planner) currentOf(r *rel, where sqlparse.Node) {
	t := p.t
	if t.Kind == KindShards && !t.NeedsHome && t.KeyTo == nil && len(t.Prune) == 1 && r.sharded() {
		t.CurrentOf = where.GetCurrentOfExpr().GetCursorName()
	}
}

// changes plans UPDATE and DELETE alike.
func (p *planner) changes(a *analysis, q *query, r *rel) {
	a.solve()
	if r.table != nil && r.table.Kind == TableReference && !p.homeCopy {
		p.writeEverywhere(a, q, r)
		return
	}
	if several := p.decide(a, r.table); !several || p.homeCopy {
		p.gatherAtHome(a, r)
		return
	}
	t := p.t
	if r.table == nil || r.table.Kind != TableSharded {
		t.NoScatter = refMixed
		return
	}
	if a.keyMoves || len(a.keyTo) > 0 {
		return // movesRows
	}
	if t.Scatter, t.NoScatter = p.scatterWrite(a, q, a.distributor()); t.Scatter == nil {
		p.broadcast(a, q, r)
	}
}

// gatherAtHome plans a write of a local table that reads sharded ones.
func (p *planner) gatherAtHome(a *analysis, target *rel) {
	if p.t.Kind == KindShards && !target.sharded() {
		p.t.NeedsHome = true
		p.gatherOr(a)
	}
}

// broadcast plans an UPDATE or DELETE that reads other sharded rows than those beside the ones it changes: every backend is
// given them whole.
func (p *planner) broadcast(a *analysis, q *query, r *rel) {
	d := a.distributor()
	d.target = r
	if _, err := p.scatterWrite(a, q, d); err != nil {
		return
	}
	g, err := p.gather(a)
	if err != nil {
		return
	}
	g.Target = &r.prune
	p.t.Gather, p.t.NoScatter = g, nil
}

// scatterWrite proves that an UPDATE or DELETE changes on each backend the rows it would change in one database.
func (p *planner) scatterWrite(a *analysis, q *query, d *distributor) (*Scatter, *pgerr.Error) {
	if err := a.several(q); err != nil {
		return nil, err
	}
	if a.statementTrigger {
		return nil, refTriggerMulti
	}
	s, err := d.level(q, true)
	switch {
	case err != nil:
		return nil, err
	case !s.sharded:
		return nil, refSubquery
	}
	return &Scatter{Modifies: true}, nil
}

// columnPositions maps an INSERT's column list to positions in the table; all columns when there is none, -1 for
// names that are not known.
func columnPositions(t *Table, cols []sqlparse.Node) []int {
	var out []int
	if len(cols) == 0 {
		for i := range t.Columns {
			out = append(out, i)
		}
		return out
	}
	for _, n := range cols {
		rt := n.GetResTarget()
		i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == rt.GetName() })
		if len(rt.GetIndirection()) > 0 {
			i = -1
		}
		out = append(out, i)
	}
	return out
}

// parts are the positions of an INSERT's columns that are given a part of: v[1], q.x. -1 stands for the other columns.
func parts(t *Table, cols []sqlparse.Node) (out []int, some bool) {
	for _, n := range cols {
		rt, at := n.GetResTarget(), -1
		if len(rt.GetIndirection()) > 0 {
			at = slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == rt.GetName() })
		}
		if slices.Contains(t.Key, at) {
			at = -1 // no key is made of parts: PostgreSQL's error
		}
		out, some = append(out, at), some || at >= 0
	}
	return out, some
}
