package router

import "github.com/pleiad/pleiad/router/sqlparse"

// query is one analysed query level. Set operations have arms and nothing else of a level's own.
type query struct {
	sel    *sqlparse.SelectStmt
	arms   []*query
	from   []*jnode
	rels   []*rel
	source *query // what an INSERT inserts
	out    []outCol
	open   bool // the output columns are not known
	subs   []*sublink
	scope  *scope
	// targetFacts are of functions in the target list, ORDER BY, GROUP BY, HAVING and windows; whereFacts of those in
	// WHERE and join conditions.
	targetFacts, whereFacts fnFacts
	group                   []colID
	grouped                 bool
	groupingSets            bool
	aggregates              bool
	windows                 [][]colID // each window's PARTITION BY columns
	// recursive is true for a WITH RECURSIVE query that names itself.
	recursive bool
	// dml is true for a data-modifying WITH query.
	dml bool
	// outerAggregate is true when an aggregate in it may belong to a level above.
	outerAggregate bool
	escapes        bool // it, or a level below it, names a column of a level above it, or one that is not known
	merges         bool // it is MERGE's own level
	correlated     bool // it names a column of a level above
	tableOID       bool
	sample         bool // TABLESAMPLE … REPEATABLE
}

// outCol is one output column; id is the base column it simply is, or zero.
type outCol struct {
	name string
	id   colID
	expr sqlparse.Node // nil for an expanded star
	// target is the position in the target list that gives it.
	target int
}

// sublink is a subquery in an expression.
type sublink struct {
	q *query
	// in is true for IN and = ANY; left are the columns compared with the subquery's outputs, zero where they are not
	// columns.
	in   bool
	left []colID
}

// jnode is a node of a FROM clause's tree: a relation, or a join.
type jnode struct {
	rel         *rel
	typ         sqlparse.JoinType
	left, right *jnode
	// equal are the column equalities of ON and USING, for FULL JOIN, where they restrict neither side.
	equal  [][2]colID
	leaves []*rel
	// quals, using and on are ON, USING and the scope of ON.
	quals sqlparse.Node
	using [][2]colID
	on    *scope
}

// plain is true if the level's rows are those of FROM and WHERE one by one: no grouping, no limit.
func (q *query) plain() bool {
	return q.sel != nil && len(q.arms) == 0 && !q.grouped && !q.aggregates && len(q.windows) == 0 &&
		len(q.sel.DistinctClause) == 0 && q.sel.LimitCount == nil && q.sel.LimitOffset == nil &&
		q.targetFacts&fnSRF == 0 && !q.recursive && !q.dml && len(q.sel.LockingClause) == 0
}

// pushable reports whether "output column i is one of these values" may be applied to the level's input rows
// instead: PostgreSQL's qual pushdown rules (subquery_is_pushdown_safe).
func (q *query) pushable(i int) bool {
	if q.plain() {
		return true
	}
	if q.sel == nil || q.recursive || q.dml || q.sel.LimitCount != nil || q.sel.LimitOffset != nil || q.groupingSets {
		return false
	}
	if len(q.arms) > 0 {
		return true
	}
	id := q.out[i].id
	if id.r == nil || q.targetFacts&fnSRF != 0 || len(q.sel.LockingClause) > 0 {
		return false
	}
	if (q.grouped || q.aggregates) && !contains(q.group, id) {
		return false
	}
	for _, w := range q.windows {
		if !contains(w, id) {
			return false
		}
	}
	return !isDistinctOn(q.sel)
}

func isDistinctOn(s *sqlparse.SelectStmt) bool {
	return len(s.DistinctClause) > 0 && s.DistinctClause[0] != nil && s.DistinctClause[0].Node != nil
}

func contains(list []colID, id colID) bool {
	for _, c := range list {
		if c == id {
			return true
		}
	}
	return false
}

// walk calls visit for q and every query beneath it.
func (q *query) walk(visit func(*query)) {
	visit(q)
	for _, arm := range q.arms {
		arm.walk(visit)
	}
	if q.source != nil {
		q.source.walk(visit)
	}
	for _, r := range q.rels {
		if r.sub != nil {
			r.sub.walk(visit)
		}
	}
	for _, s := range q.subs {
		s.q.walk(visit)
	}
}

// hasSharded reports whether a sharded table is read at any level of q.
func (q *query) hasSharded() bool {
	found := false
	q.walk(func(q *query) {
		for _, r := range q.rels {
			found = found || r.sharded()
		}
	})
	return found
}
