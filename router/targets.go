package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// targets reads a target list: q's output columns.
func (a *analysis) targets(q *query, list []sqlparse.Node, sc *scope) {
	for i, n := range list {
		rt := n.GetResTarget()
		if rt == nil {
			a.expr(q, n, sc, &q.targetFacts)
			q.open = true
			continue
		}
		ref := rt.Val.GetColumnRef()
		if ref != nil && len(ref.Fields) > 0 && ref.Fields[len(ref.Fields)-1].GetAStar() != nil {
			q.star(sqlparse.Strings(ref.Fields), sc, i)
			continue
		}
		if !a.inserts {
			a.placeTime(rt.Val, timeNever) // text
		}
		a.expr(q, rt.Val, sc, &q.targetFacts)
		if rt.Val.GetAIndirection() != nil && hasStar(rt.Val.GetAIndirection().Indirection) {
			q.open = true // (row).*
		}
		o := outCol{name: rt.Name, expr: rt.Val, target: i}
		if o.name == "" {
			o.name = outputName(rt.Val)
		}
		if ref != nil {
			if id, at := sc.lookup(ref); at != nil && at.level == q {
				o.id = id
			}
		}
		q.out = append(q.out, o)
	}
}

func hasStar(list []sqlparse.Node) bool {
	for _, n := range list {
		if n.GetAStar() != nil {
			return true
		}
	}
	return false
}

// star expands * or qualifier.* .
func (q *query) star(qual []string, sc *scope, target int) {
	cols, open := sc.ns.cols, sc.ns.open
	if len(qual) > 0 {
		cols, open = nil, true
		for _, it := range sc.ns.items {
			if it.name == qual[len(qual)-1] && (len(qual) == 1 || it.schema == qual[0]) {
				cols, open = it.cols, it.open
			}
		}
	}
	q.open = q.open || open
	for _, c := range cols {
		q.out = append(q.out, outCol{name: c.name, id: c.id, target: target})
	}
}

// outputName is figureName, "?" where the name is not known.
func outputName(n sqlparse.Node) string {
	if name, _, ok := figureName(n); ok {
		return name
	}
	return "?"
}

// grouping reads GROUP BY, HAVING, DISTINCT and the windows.
func (a *analysis) grouping(q *query, s *sqlparse.SelectStmt, sc *scope) {
	q.grouped = len(s.GroupClause) > 0 || s.HavingClause != nil
	for _, g := range s.GroupClause {
		if g.GetGroupingSet() != nil {
			q.groupingSets = true
		}
		a.expr(q, g, sc, &q.targetFacts)
		if id := a.groupColumn(q, g, sc); id.r != nil {
			q.group = append(q.group, id)
		}
	}
	if s.HavingClause != nil {
		a.expr(q, s.HavingClause, sc, &q.targetFacts)
	}
	named := map[string][]colID{}
	for _, n := range s.WindowClause {
		w := n.GetWindowDef()
		a.expr(q, n, sc, &q.targetFacts)
		named[w.GetName()] = a.partition(w, named, sc)
	}
	collect := func(n sqlparse.Node) bool {
		if n.GetSubLink() != nil || n.GetSelectStmt() != nil {
			return false
		}
		if f := n.GetFuncCall(); f != nil && f.Over != nil {
			q.windows = append(q.windows, a.partition(f.Over, named, sc))
		}
		return true
	}
	sqlparse.WalkList(s.TargetList, collect)
	sqlparse.WalkList(s.SortClause, collect)
	if len(s.DistinctClause) > 0 && isDistinctOn(s) {
		for _, n := range s.DistinctClause {
			a.expr(q, n, sc, &q.targetFacts)
		}
	}
}

// groupColumn resolves a GROUP BY item as findTargetlistEntrySQL92 does: an input column wins over an output name; a
// number is a position.
func (a *analysis) groupColumn(q *query, n sqlparse.Node, sc *scope) colID {
	if id := a.column(n, sc); id.r != nil && n.GetColumnRef() != nil {
		return id
	}
	if c := n.GetAConst(); c != nil && c.GetIval() != nil && !q.open {
		if i := int(c.GetIval().Ival); i >= 1 && i <= len(q.out) {
			return q.out[i-1].id
		}
	}
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 && !sc.ns.open {
		name := sqlparse.Strings(ref.Fields)
		if _, _, stop := sc.ns.unqualified(name[0]); stop {
			return colID{}
		}
		for _, o := range q.out {
			if o.name == name[0] {
				return o.id
			}
		}
	}
	return colID{}
}

// partition lists the plain columns of a window's PARTITION BY, its base window's included.
func (a *analysis) partition(w *sqlparse.WindowDef, named map[string][]colID, sc *scope) []colID {
	var out []colID
	if w.Refname != "" {
		out = append(out, named[w.Refname]...)
	}
	if w.Name != "" && w.Refname == "" && len(w.PartitionClause) == 0 {
		return named[w.Name] // OVER name
	}
	for _, n := range w.PartitionClause {
		if id := a.column(n, sc); id.r != nil {
			out = append(out, id)
		}
	}
	return out
}

func (a *analysis) sorting(q *query, s *sqlparse.SelectStmt, sc *scope) {
	for _, n := range s.SortClause {
		a.expr(q, n, sc, &q.targetFacts)
	}
}
