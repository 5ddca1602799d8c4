package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// fnOnce are functions that a relation or subquery evaluated once for the whole statement must not call when every
// backend evaluates it: the values would differ.
const fnOnce = fnPerRow | fnVolatile | fnUserVol | fnUnknown | fnServer | fnClock

// level proves one query level. top is the statement's own level, which may have a LIMIT.
func (d *distributor) level(q *query, top bool) (spread, *pgerr.Error) {
	switch {
	case q.sel == nil || q.dml:
		return spread{}, refDMLCTE
	case q.recursive:
		if q.hasSharded() {
			return spread{}, refRecursive
		}
		return spread{}, nil
	case len(q.arms) > 0:
		return d.setOperation(q, top)
	}
	s, err := d.from(q)
	if err != nil {
		return s, err
	}
	if err := d.sublinks(q, s); err != nil {
		return s, err
	}
	limited := q.sel.LimitCount != nil || q.sel.LimitOffset != nil
	if !s.sharded {
		return s, d.once(q, limited)
	}
	if !top && limited {
		return s, refSubLimit
	}
	if err := d.groups(q, s); err != nil {
		return s, err
	}
	if len(q.sel.LockingClause) > 0 && (!top || limited) {
		return s, refLocking
	}
	if q.sample {
		return s, refTablesample
	}
	return s, nil
}

// once proves that a level without sharded rows of its own gives the same rows on every backend. A correlated level is
// evaluated for each outer row, on that row's backend alone.
func (d *distributor) once(q *query, limited bool) *pgerr.Error {
	facts := q.targetFacts | q.whereFacts
	if facts&fnPerRow != 0 && q.forEachWritten() {
		facts &^= fnPerRow
	}
	switch {
	case facts&fnOnce != 0:
		return refVolatile
	case q.correlated:
		return nil
	case limited:
		return refSubLimit
	case len(q.windows) > 0:
		return refWindow
	case isDistinctOn(q.sel):
		return refDistinctOn
	}
	return nil
}

// relation proves one relation of FROM.
func (d *distributor) relation(r *rel) (spread, *pgerr.Error) {
	if r.sub == nil {
		switch {
		case !r.sharded() || d.target != nil && d.target != r:
			if r.facts&fnOnce != 0 {
				return spread{}, refVolatile
			}
			return spread{}, nil
		case d.anchored(r):
			return spread{}, nil
		}
		return spread{sharded: true, keys: []shardKey{tableKey(r)}}, nil
	}
	inner := d
	if r.lateral {
		inner = d.within(siblingKeys(r))
	}
	s, err := inner.level(r.sub, false)
	if err != nil || !s.sharded {
		return s, err
	}
	out := spread{sharded: true}
	for _, p := range positionsOf(r.sub, s) {
		k := shardKey{group: p.group, weak: p.weak}
		for _, i := range p.cols {
			k.cols = append(k.cols, colID{r, i})
		}
		out.keys = append(out.keys, k)
	}
	return out, nil
}

// anchored reports whether a subquery's table is restricted to the key of a row of an enclosing level, so that all
// its rows that matter are beside that row.
func (d *distributor) anchored(r *rel) bool {
	return d.anyFollows(d.outer, []shardKey{tableKey(r)})
}

func (d *distributor) within(keys []shardKey) *distributor {
	return &distributor{a: d.a, next: d.next, target: d.target, outer: append(append([]shardKey{}, d.outer...), keys...)}
}

func siblingKeys(r *rel) []shardKey {
	var out []shardKey
	for _, o := range r.level.rels {
		if o != r && o.sharded() {
			out = append(out, tableKey(o))
		}
	}
	return out
}

// positionsOf are the keys of a query that its output columns carry.
func positionsOf(q *query, s spread) []positionKey {
	if len(q.arms) > 0 {
		return s.positions
	}
	var out []positionKey
	for _, k := range s.keys {
		p := positionKey{group: k.group, weak: k.weak}
		for _, c := range k.cols {
			for i, o := range q.out {
				if o.id == c {
					p.cols = append(p.cols, i)
					break
				}
			}
		}
		if len(p.cols) == len(k.cols) {
			out = append(out, p)
		}
	}
	return out
}

// sublinks proves the subqueries in a level's expressions: each must be computable beside the level's row.
func (d *distributor) sublinks(q *query, s spread) *pgerr.Error {
	inner := d.within(s.keys)
	for _, sub := range q.subs {
		r, err := inner.level(sub.q, false)
		switch {
		case err != nil:
			return err
		case r.sharded:
			return refSubquery
		}
	}
	return nil
}

// groups proves that grouping, DISTINCT and windows only bring together rows of one backend.
func (d *distributor) groups(q *query, s spread) *pgerr.Error {
	switch {
	case q.groupingSets:
		return refGroupingSets
	case q.grouped && len(q.sel.GroupClause) > 0 && !holdsKey(s, q.group):
		return refGroup
	case (q.grouped || q.aggregates) && len(q.sel.GroupClause) == 0:
		return refAggregate
	case isDistinctOn(q.sel):
		return refDistinctOn
	case len(q.sel.DistinctClause) > 0:
		var out []colID
		for _, o := range q.out {
			out = append(out, o.id)
		}
		if !holdsKey(s, out) {
			return refDistinct
		}
	}
	for _, w := range q.windows {
		if !holdsKey(s, w) {
			return refWindow
		}
	}
	return nil
}

// holdsKey reports whether the columns include a whole key that is never null-extended.
func holdsKey(s spread, cols []colID) bool {
	for _, k := range s.keys {
		all := !k.weak
		for _, c := range k.cols {
			all = all && contains(cols, c)
		}
		if all {
			return true
		}
	}
	return false
}

// setOperation proves UNION, INTERSECT and EXCEPT: all arms sharded, and unless it is UNION ALL each with the same
// key in the same columns, so that equal rows meet on one backend.
func (d *distributor) setOperation(q *query, top bool) (spread, *pgerr.Error) {
	limited := q.sel.LimitCount != nil || q.sel.LimitOffset != nil
	var out spread
	for i, arm := range q.arms {
		s, err := d.level(arm, false)
		if err != nil {
			return s, err
		}
		if i > 0 && s.sharded != out.sharded {
			return s, refSetOp
		}
		out.sharded = s.sharded
		p := positionsOf(arm, s)
		if i == 0 {
			out.positions = p
		} else {
			out.positions = samePositions(out.positions, p)
		}
	}
	switch {
	case !out.sharded:
		return out, d.once(q, limited)
	case !top && limited:
		return out, refSubLimit
	case len(q.sel.LockingClause) > 0:
		return out, refSetOp
	case q.sel.Op == sqlparse.SetUnion && q.sel.All:
		return out, nil
	}
	for _, p := range out.positions {
		if !p.weak {
			return out, nil
		}
	}
	return out, refSetOp
}

func samePositions(l, r []positionKey) []positionKey {
	var out []positionKey
	for _, x := range l {
		for _, y := range r {
			same := x.group == y.group && len(x.cols) == len(y.cols)
			for i := 0; same && i < len(x.cols); i++ {
				same = x.cols[i] == y.cols[i]
			}
			if same {
				out = append(out, positionKey{x.group, x.cols, x.weak || y.weak})
			}
		}
	}
	return out
}
