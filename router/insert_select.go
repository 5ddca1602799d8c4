package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// insertSelect plans INSERT … SELECT into a sharded table: where the source's rows are on one backend with the
// target's, or pushed down to each backend when the target's key is the source's.
func (p *planner) insertSelect(a *analysis, q *query, r *rel, s *sqlparse.InsertStmt) {
	positions := columnPositions(r.table, s.Cols)
	if n := len(q.source.out); !q.source.open && n < len(positions) && len(s.Cols) == 0 {
		positions = positions[:n]
	}
	if s.Override == sqlparse.OverrideUser && hasIdentity(r.table) {
		if p.decide(a, r.table); p.t.Kind == KindShards {
			p.readFirst(a, q, r, s, true) // what is given for identity columns is not what they get
		}
		return
	}
	evaluates := len(a.missing(r.table, positions, 1)) > 0
	if _, some := parts(r.table, s.Cols); some {
		p.refuse(refInsertParts)
		return
	}
	if slices.Contains(positions, -1) {
		p.refuse(refInsertLists) // PostgreSQL says which column there is not
		p.t.Unknown = true
		return
	}
	several := p.decide(a, r.table)
	if p.t.Kind != KindShards {
		return
	}
	if several && !evaluates && len(a.missing(r.table, positions, 2)) == 0 {
		p.t.Scatter, p.t.NoScatter = a.pushDown(q, r, positions)
	}
	if p.t.Scatter == nil {
		p.readFirst(a, q, r, s, evaluates)
	}
}

// readFirst plans an INSERT by reading its rows first; always is true where even one backend cannot run it as it stands.
func (p *planner) readFirst(a *analysis, q *query, r *rel, s *sqlparse.InsertStmt, always bool) {
	if p.t.NeedsHome && q.targetFacts&homeOnly != 0 {
		return // ON CONFLICT or RETURNING run where the rows are
	}
	in, err := p.insertQuery(a, q, r, s)
	p.reread() // that has made other statements of the tree
	switch {
	case err == nil && always:
		p.t.Kind, p.t.InsertQuery, p.t.Prune = KindInsertQuery, in, nil
		p.t.NeedsHome, p.t.NoScatter = false, nil
	case err == nil:
		p.t.InsertQuery, p.t.NoScatter = in, nil
	case always:
		p.refuse(err)
	default:
		p.t.NoScatter = err
	}
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

// placeSource notes the types of parameters that are inserted as they are.
func (a *analysis) placeSource(r *rel, s *sqlparse.InsertStmt, sub *query) {
	if r.table == nil || len(sub.arms) > 0 {
		return
	}
	columns := columnPositions(r.table, s.Cols)
	place := func(i int, n sqlparse.Node) {
		if i < len(columns) && columns[i] >= 0 {
			a.params.place(n, typeClass(r.table.Columns[columns[i]].TypeOID))
			a.placeColumn(n, &r.table.Columns[columns[i]])
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
