package router

import "github.com/pleiad/pleiad/router/sqlparse"

// fnUnsteady are the facts of functions that give another value, or do something, each time they are called.
const fnUnsteady = fnPerRow | fnVolatile | fnUserVol | fnUnseenVol | fnNextval | fnCurrval | fnUnknown | fnServer

// shared reports whether a query of a WITH must be made a step because several parts read it, which PostgreSQL runs once for
// all of them: its rows would be others each time. A part is a query of the WITH or the statement itself; where that writes, its
// subqueries may become steps, too.
func (b *preludeBuilder) shared(n sqlparse.Node, sel *sqlparse.SelectStmt, name string, w *sqlparse.WithClause) bool {
	q := b.levels[sel]
	if q == nil {
		return false // nothing refers to it: it does not run
	}
	facts := q.facts()
	if facts&fnUnsteady == 0 && !b.readsAny(sel) {
		return false
	}
	rest := sqlparse.Clone(n)
	sqlparse.DropWith(rest)
	readers := []sqlparse.Node{rest}
	writes := b.writes
	for _, c := range w.Ctes {
		readers = append(readers, c.GetCommonTableExpr().Ctequery)
		writes = writes || c.GetCommonTableExpr().Ctequery.GetSelectStmt() == nil
	}
	places, limited := 0, false
	for _, r := range readers {
		if b.mentions(r, name) {
			places++
			limited = limited || limits(r)
		}
	}
	if !writes || places == 0 || places == 1 && !(b.writes && facts&fnUnsteady != 0) && !b.readsSteps(sel) {
		return false
	}
	// PostgreSQL runs it no further than it is read.
	b.bad = b.bad || limited && facts&(fnUnsteady&^fnPerRow) != 0
	return true
}

// facts are those of the functions that a query and its subqueries call.
func (q *query) facts() (f fnFacts) {
	q.walk(func(q *query) { f |= q.targetFacts | q.whereFacts })
	return f
}

// readsAny reports whether a query reads relations, other than queries of the statement's WITH that are steps already.
func (b *preludeBuilder) readsAny(sel *sqlparse.SelectStmt) bool {
	found := false
	sqlparse.Walk(sqlparse.SelectNode(sel), func(n sqlparse.Node) bool {
		rv := n.GetRangeVar()
		found = found || rv != nil && !(rv.Schemaname == "" && b.stepped[rv.Relname])
		return !found
	})
	return found
}

// readsSteps reports whether a query reads rows of steps that have been put in place of relations: these are at hand, and it may
// be of a kind that no backend can compute for itself.
func (b *preludeBuilder) readsSteps(sel *sqlparse.SelectStmt) bool {
	for k := range b.out.Steps {
		if b.mentions(sqlparse.SelectNode(sel), preludeRows(k)) {
			return true
		}
	}
	return false
}

// forEachWritten reports whether a subquery is certainly evaluated for each row that the statement writes: a condition of its own
// compares columns of its relations with such of the written one. (An outer column elsewhere may be one that PostgreSQL leaves
// out, and the subquery runs once.)
func (q *query) forEachWritten() bool {
	sc := q.scope
	if q.sel == nil || sc == nil || sc.parent == nil || sc.parent.level == nil || len(sc.parent.level.rels) == 0 || !sc.parent.level.rels[0].target {
		return false
	}
	for _, n := range conjuncts(q.sel.WhereClause, nil) {
		if e := n.GetAExpr(); e == nil || e.Kind != sqlparse.ExprOp {
			continue
		}
		own, outer := false, false
		sqlparse.Walk(n, func(n sqlparse.Node) bool {
			if ref := n.GetColumnRef(); ref != nil {
				at := sc.levelOf(ref)
				own = own || at == sc
				outer = outer || at == sc.parent
			}
			return n.GetSubLink() == nil && n.GetCaseExpr() == nil && n.GetCoalesceExpr() == nil
		})
		if own && outer {
			return true
		}
	}
	return false
}
