package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// mergeLevel analyses MERGE: the target's rows that matter are those that ON matches, unless an arm is for rows that
// no source row matches.
func (a *analysis) mergeLevel(s *sqlparse.MergeStmt, outer *scope) (*query, *rel) {
	q, sc, r := a.writeLevel(s.Relation, s.WithClause, outer, opInsert|opUpdate|opDelete)
	q.merges = true
	a.from(q, []sqlparse.Node{s.SourceRelation}, sc)
	// Rows of the target that ON does not match matter to WHEN NOT MATCHED BY SOURCE alone, those of the source to
	// WHEN NOT MATCHED [BY TARGET].
	var dom []*rel
	kinds := map[any]bool{}
	for _, n := range s.MergeWhenClauses {
		kinds[n.GetMergeWhenClause().GetMatchKind()] = true
	}
	if !kinds[sqlparse.MergeNotMatchedBySource] {
		dom = append(dom, r)
	}
	if !kinds[sqlparse.MergeNotMatched] {
		dom = append(dom, q.rels[1:]...)
	}
	a.expr(q, s.JoinCondition, sc, &q.whereFacts)
	a.conjunct(q, s.JoinCondition, sc, dom)
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		if w.Condition != nil {
			a.expr(q, w.Condition, sc, &q.whereFacts)
		}
		switch w.CommandType {
		case sqlparse.CmdUpdate:
			a.assignments(q, r, w.TargetList, sc)
		case sqlparse.CmdInsert:
			a.mergeInsert(q, r, w.TargetList, w.Values, sc)
		}
	}
	a.returning(q, s.ReturningList, sc)
	if r.table == nil || r.table.Kind != TableReference {
		a.single(refMerge)
	}
	return q, r
}

// mergeInsert notes the key that WHEN NOT MATCHED inserts, as a relation of its own that must be on the same backend.
func (a *analysis) mergeInsert(q *query, r *rel, cols, vals []sqlparse.Node, sc *scope) {
	for _, v := range vals {
		a.expr(q, v, sc, &q.targetFacts)
	}
	t := r.table
	a.usesDefaults(q, t, cols, len(vals), vals)
	if t == nil || t.Kind != TableSharded {
		return
	}
	in := &rel{table: t, level: q, target: true, stores: true}
	a.rels = append(a.rels, in)
	positions := columnPositions(t, cols)
	for _, k := range t.Key {
		i := slices.Index(positions, k)
		if i < 0 || i >= len(vals) {
			continue
		}
		if v, ok := a.constant(vals[i]); ok {
			a.facts = append(a.facts, constFact{colID{in, k}, []KeyValue{v}})
		} else if c := a.column(vals[i], sc); neverExtended(c) {
			a.edges = append(a.edges, edge{c, colID{in, k}})
		}
	}
}

// mergeInto plans MERGE.
func (p *planner) mergeInto(s *sqlparse.MergeStmt) {
	p.t.Command, p.t.Writes, p.t.Returns = "MERGE", true, len(s.ReturningList) > 0
	a := p.analysis()
	q, r := a.mergeLevel(s, nil)
	a.solve()
	if r.table != nil && r.table.Kind == TableReference {
		p.t.Effect, p.t.Unknown = max(p.t.Effect, a.effect()), len(a.unknown) > 0
		p.t.Sync = p.t.Sync || r.table.Sync
		if err := a.everywhere(q, r, false); err != nil {
			p.refuse(err)
			return
		}
		p.t.Kind = KindEverywhere
		return
	}
	if len(a.keyTo) > 0 || a.keyMoves {
		p.refuse(refKeyUpdate)
		return
	}
	if p.decide(a, r.table) {
		p.t.NoScatter = refMerge
	}
	if p.t.Kind == KindShards && r.sharded() {
		if in, err := p.mergeQuery(a, q, r, s); err == nil {
			p.t.InsertQuery, p.t.NoScatter = in, nil
		} else if p.t.NoScatter == nil || p.t.NoScatter == refMerge {
			p.t.NoScatter = err
		}
		return
	}
	p.gatherAtHome(a, r)
}
