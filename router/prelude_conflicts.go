package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// writtenTable is what a step writes.
type writtenTable struct {
	tables []*Table // the target, and those whose rows change with its
	step   int
	part   sqlparse.Node
	adds   bool // it adds rows and changes none
}

// noteTarget notes the table that a data-modifying WITH query writes.
func (b *preludeBuilder) noteTarget(n sqlparse.Node) {
	if rv := sqlparse.TargetOf(n); rv != nil {
		t, _ := b.env.resolve(rv)
		b.written = append(b.written, writtenTable{b.changed(n, t), len(b.out.Steps), n, adds(n)})
		b.bad = b.bad || t == nil || slices.ContainsFunc(t.Triggers, func(tr Trigger) bool { return !tr.ofRowAlone() })
	}
}

// ofRowAlone reports whether a trigger depends on nothing but its row, and does nothing that shows when it has fired.
func (tr Trigger) ofRowAlone() bool {
	const looks = ReachReference | ReachLocal | ReachSharded | ReachSequence | ReachState | ReachUnknown
	f := tr.Function
	return tr.Row && !tr.Constrain && f != nil && f.Language == "plpgsql" && f.Reach&looks == 0 && !strings.Contains(strings.ToLower(f.Body), "raise")
}

// adds reports whether a write adds rows and changes none.
func adds(n sqlparse.Node) bool {
	s := n.GetInsertStmt()
	return s != nil && s.OnConflictClause.GetAction() != sqlparse.ConflictUpdate
}

// changed lists the tables whose rows a write of t may change or add to.
func (b *preludeBuilder) changed(n sqlparse.Node, t *Table) []*Table {
	if t != nil && (adds(n) || leavesReferenced(n, t)) {
		return []*Table{t} // no foreign key acts on that
	}
	return b.reached(t)
}

// leavesReferenced reports whether a write changes no column that foreign keys refer to.
func leavesReferenced(n sqlparse.Node, t *Table) bool {
	set := n.GetUpdateStmt().GetTargetList()
	if s := n.GetInsertStmt(); s != nil {
		set = s.OnConflictClause.GetTargetList()
	}
	if len(set) == 0 || t.Kind == TableView || len(t.Triggers) > 0 {
		return false
	}
	return !slices.ContainsFunc(t.Referenced, func(i int) bool {
		return t.Columns[i].Generated || slices.ContainsFunc(set, func(n sqlparse.Node) bool { return n.GetResTarget().GetName() == t.Columns[i].Name })
	})
}

// reached lists a table and those whose rows a write of it may change through foreign keys' actions.
func (b *preludeBuilder) reached(t *Table) []*Table {
	if t == nil {
		return nil
	}
	out := []*Table{t}
	for i := 0; i < len(out); i++ {
		for _, oid := range out[i].ReferencedBy {
			if r := b.env.Schema.ByOID[oid]; r != nil && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// conflicts reports whether a table that a step writes is used elsewhere in the statement: PostgreSQL's parts do not see
// each other's writes, later steps would. Two that add rows to one table do not look at each other's, nor do two that change
// rows of other keys.
func (b *preludeBuilder) conflicts(n sqlparse.Node) bool {
	for _, w := range b.written {
		if b.uses(n, w) {
			return true
		}
		b.fulfils(w, n)
		for k, s := range b.steps {
			early := k < w.step && (s.GetSelectStmt() != nil || b.changedBefore(k, w)) // it has read, or locked, before that
			if k != w.step && k >= b.ahead && !early && b.uses(s, w) {
				return true
			}
			if k > w.step {
				b.fulfils(w, s)
			}
		}
	}
	return false
}

// fulfils notes a step whose new rows may refer to such as a later part writes.
func (b *preludeBuilder) fulfils(w writtenTable, later sqlparse.Node) {
	rv := sqlparse.TargetOf(later)
	if rv == nil || len(w.tables) == 0 || slices.Contains(b.out.Fulfils, w.step) {
		return
	}
	if t, _ := b.env.resolve(rv); t == nil || t.Kind == TableView || slices.Contains(t.ReferencedBy, w.tables[0].OID) {
		b.out.Fulfils = append(b.out.Fulfils, w.step)
	}
}

func (b *preludeBuilder) uses(n sqlparse.Node, w writtenTable) bool {
	var beside *sqlparse.RangeVar
	if w.adds && adds(n) || b.changesThenAdds(w, n) || b.otherKeys(w, n) {
		beside = sqlparse.TargetOf(n)
	}
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if rv := n.GetRangeVar(); rv != nil && rv != beside && !b.maybeWith(rv, b.names[rv.Relname]) {
			t, _ := b.env.resolve(rv)
			found = found || t != nil && (slices.Contains(w.tables, t) || t.Kind == TableView)
		}
		return !found
	})
	return found || b.sees(n, w)
}

// maybeWith reports whether a name in FROM is that of a WITH query: byName, where the statement's text does not tell.
func (b *preludeBuilder) maybeWith(rv *sqlparse.RangeVar, byName bool) bool {
	if with, told := b.a.named[rv]; told {
		return with
	}
	return rv.Schemaname == "" && byName
}

// sees reports whether code that a part calls may read what a step writes.
func (b *preludeBuilder) sees(n sqlparse.Node, w writtenTable) bool {
	var reads fnFacts
	for _, t := range w.tables {
		switch t.Kind {
		case TableReference:
			reads |= fnReference
		case TableView:
			reads |= fnReference | fnTables
		case TableSharded: // a function that reads one is refused anyway
		default:
			reads |= fnTables
		}
	}
	return reads != 0 && b.called(n)&reads != 0
}

// called are the facts of the code that a part calls, also where its text does not name it.
func (b *preludeBuilder) called(n sqlparse.Node) (f fnFacts) {
	target := sqlparse.TargetOf(n)
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		f |= b.env.called(n)
		rv := n.GetRangeVar()
		if rv == nil {
			return true
		}
		t, _ := b.env.resolve(rv)
		if t == nil {
			return true
		}
		r := t.ReadReach
		if rv == target {
			r |= t.WriteReach
			for i := range t.Columns {
				r |= t.Columns[i].DefaultReach
			}
		}
		if t.RLS && strings.Contains(strings.ToLower(t.RLSExprs), "select") {
			r |= ReachReference
		}
		f |= b.env.reachFacts(r)
		return true
	})
	return f
}

// changesThenAdds reports whether a part adds rows to the table in which a step before it has changed some, and neither can be in the
// other's way: UPDATE … RETURNING, and INSERT of what it did not find.
func (b *preludeBuilder) changesThenAdds(w writtenTable, n sqlparse.Node) bool {
	set := w.part.GetUpdateStmt().GetTargetList()
	if len(set) == 0 || len(w.tables) != 1 || !adds(n) {
		return false
	}
	t := w.tables[0]
	if other, _ := b.env.resolve(sqlparse.TargetOf(n)); other != t || t.Kind == TableView || len(t.Triggers) > 0 {
		return false
	}
	return !slices.ContainsFunc(t.UniqueBy, func(i int) bool {
		return i < 0 || t.Columns[i].Generated || setsColumn(w.part, t.Columns[i].Name)
	})
}

// changedBefore is changesThenAdds for the step k before that which adds.
func (b *preludeBuilder) changedBefore(k int, w writtenTable) bool {
	i := slices.IndexFunc(b.written, func(w writtenTable) bool { return w.step == k })
	return i >= 0 && b.changesThenAdds(b.written[i], w.part)
}

// RefuseParts is the answer to a statement whose parts may change the same rows, or see what others have changed.
func RefuseParts() *pgerr.Error { return refDMLCTE }

// OtherKeys says that two parts of a statement change rows of one table that differ in a column of its key: the values that
// one names for it are none of the other's.
type OtherKeys struct {
	column shardmap.KeyColumn
	x, y   []KeyValue
}

// maxOtherKeys bounds the values that are compared with each other.
const maxOtherKeys = 16

// otherKeys reports whether a step and a later part change rows of one table that are others by their keys, whatever changes:
// Prelude.Apart has what values they must have for that.
func (b *preludeBuilder) otherKeys(w writtenTable, n sqlparse.Node) bool {
	x, y := b.targetOf(w.part), b.targetOf(n)
	if x == nil || y == nil || x.table != y.table || !x.sharded() || len(x.table.Triggers) > 0 {
		return false
	}
	t := x.table
	for _, r := range w.tables {
		if slices.Contains(r.ReferencedBy, t.OID) {
			return false // a foreign key's action may change more of it
		}
	}
	for i, k := range t.Key {
		left, right := b.restricted(x, k), b.restricted(y, k)
		if len(left) == 0 || len(right) == 0 || setsColumn(w.part, t.Columns[k].Name) || setsColumn(n, t.Columns[k].Name) {
			continue
		}
		b.out.Apart = append(b.out.Apart, OtherKeys{t.KeyCols[i], left, right})
		return true
	}
	return false
}

// targetOf is the relation that an UPDATE or DELETE changes, as it was analysed.
func (b *preludeBuilder) targetOf(n sqlparse.Node) *rel {
	if n.GetUpdateStmt() == nil && n.GetDeleteStmt() == nil {
		return nil
	}
	q := b.parts[n]
	if q == nil {
		return nil
	}
	i := slices.IndexFunc(q.rels, func(r *rel) bool { return r.target })
	if t, _ := b.env.resolve(sqlparse.TargetOf(n)); i < 0 || q.rels[i].table != t {
		return nil
	}
	return q.rels[i]
}

// restricted are the values to one of which a relation's column is restricted; none where that is not known.
func (b *preludeBuilder) restricted(r *rel, column int) []KeyValue {
	for _, f := range b.a.facts {
		if f.c == (colID{r, column}) && len(f.vals) <= maxOtherKeys && !slices.ContainsFunc(f.vals, func(v KeyValue) bool { return !v.alone() }) {
			return f.vals
		}
	}
	return nil
}

func setsColumn(n sqlparse.Node, name string) bool {
	return slices.ContainsFunc(n.GetUpdateStmt().GetTargetList(), func(n sqlparse.Node) bool { return n.GetResTarget().GetName() == name })
}

// Holds tells whether the values at hand are others. Equal ones have equal hashes.
func (o *OtherKeys) Holds(v *Values) bool {
	for i := range o.x {
		for k := range o.y {
			x, xNull, ok1 := o.hash(v, &o.x[i])
			y, yNull, ok2 := o.hash(v, &o.y[k])
			if !ok1 || !ok2 || !xNull && !yNull && x == y {
				return false
			}
		}
	}
	return true
}

func (o *OtherKeys) hash(v *Values, k *KeyValue) (h uint64, null, ok bool) {
	v.scratch = v.scratch[:0]
	val, err := v.value(k)
	if err != nil || val.Null {
		return 0, true, err == nil // nothing equals NULL
	}
	h, err = shardmap.Hash([]shardmap.KeyColumn{o.column}, []shardmap.Value{val})
	return h, false, err == nil
}
