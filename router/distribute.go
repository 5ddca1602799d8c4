package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// spread is how the rows of a relation, join or query lie over the backends.
type spread struct {
	// sharded is false when every backend computes the same rows (reference tables, constants).
	sharded bool
	// keys are the column tuples that decide where a row is: rows equal in one of them are on one backend.
	keys []shardKey
	// positions are keys by output column, for set operations, whose columns belong to no one relation.
	positions []positionKey
}

// positionKey is a shardKey as a query's consumer sees it.
type positionKey struct {
	group int
	cols  []int
	weak  bool
}

// shardKey is a column tuple that holds a partition key of a colocation group, in key order.
type shardKey struct {
	group int
	cols  []colID
	// weak keys may be NULL because of an outer join; then they say nothing of where the row is.
	weak bool
}

// distributor proves that a query's rows are the rows of its parts on each backend put together.
type distributor struct {
	// target, if set, is the one relation whose rows are spread: every backend is given the others whole.
	target *rel
	a      *analysis
	next   map[colID][]colID
	// outer are the keys of enclosing levels, to which subqueries may be correlated.
	outer []shardKey
}

func (a *analysis) distributor() *distributor {
	d := &distributor{a: a, next: map[colID][]colID{}}
	add := func(from, to colID) { d.next[from] = append(d.next[from], to) }
	for _, e := range a.edges {
		if a.alike(e.from, e.to) {
			add(e.from, e.to)
		}
	}
	for _, l := range a.links {
		add(l.base, l.out)
		if l.q.pushable(l.col) {
			add(l.out, l.base)
		}
	}
	return d
}

// follows reports whether restricting from to a value restricts to to the same.
func (d *distributor) follows(from, to colID) bool {
	seen := map[colID]bool{from: true}
	for todo := []colID{from}; len(todo) > 0; {
		c := todo[0]
		todo = todo[1:]
		if c == to {
			return true
		}
		for _, n := range d.next[c] {
			if !seen[n] {
				seen[n] = true
				todo = append(todo, n)
			}
		}
	}
	return false
}

// keyFollows reports whether key to is restricted to the values of key from.
func (d *distributor) keyFollows(from, to shardKey) bool {
	if from.group != to.group || len(from.cols) != len(to.cols) {
		return false
	}
	for i := range from.cols {
		if !d.follows(from.cols[i], to.cols[i]) {
			return false
		}
	}
	return true
}

func (d *distributor) anyFollows(from, to []shardKey) bool {
	for _, f := range from {
		for _, t := range to {
			if d.keyFollows(f, t) {
				return true
			}
		}
	}
	return false
}

func tableKey(r *rel) shardKey {
	k := shardKey{group: r.table.Group}
	for _, c := range r.table.Key {
		k.cols = append(k.cols, colID{r, c})
	}
	return k
}

// from joins the items of FROM, in any order that PostgreSQL could, until one is left.
func (d *distributor) from(q *query) (spread, *pgerr.Error) {
	var parts []spread
	var all spread
	for _, j := range q.from {
		s, err := d.tree(j)
		if err != nil {
			return s, err
		}
		if s.sharded {
			parts = append(parts, s)
		}
	}
	for len(parts) > 0 {
		joined := false
		for i, p := range parts {
			if all.sharded && !d.anyFollows(all.keys, p.keys) && !d.anyFollows(p.keys, all.keys) {
				continue
			}
			all.sharded = true
			all.keys = append(all.keys, p.keys...)
			parts = append(parts[:i:i], parts[i+1:]...)
			joined = true
			break
		}
		if !joined {
			return all, refJoin
		}
	}
	return all, nil
}

// tree proves a FROM item.
func (d *distributor) tree(j *jnode) (spread, *pgerr.Error) {
	if j.rel != nil {
		return d.relation(j.rel)
	}
	l, err := d.tree(j.left)
	if err != nil {
		return l, err
	}
	r, err := d.tree(j.right)
	if err != nil {
		return r, err
	}
	if !l.sharded && !r.sharded {
		return spread{}, nil
	}
	both := l.sharded && r.sharded
	switch j.typ {
	case sqlparse.JoinInner:
		if both && !d.anyFollows(l.keys, r.keys) && !d.anyFollows(r.keys, l.keys) {
			return l, refJoin
		}
		return spread{sharded: true, keys: append(append([]shardKey{}, l.keys...), r.keys...)}, nil
	case sqlparse.JoinLeft:
		return d.outerJoin(l, r)
	case sqlparse.JoinRight:
		return d.outerJoin(r, l)
	default:
		if !both {
			return l, refOuterJoin
		}
		if !fullKeys(j, l.keys, r.keys) {
			return l, refJoin
		}
		return spread{sharded: true, keys: append(weakened(l.keys), weakened(r.keys)...)}, nil
	}
}

// outerJoin joins a kept side with a null-extended one.
func (d *distributor) outerJoin(kept, other spread) (spread, *pgerr.Error) {
	switch {
	case !kept.sharded:
		return kept, refOuterJoin
	case !other.sharded:
		return kept, nil
	case !d.anyFollows(kept.keys, other.keys):
		return kept, refJoin
	}
	return spread{sharded: true, keys: append(append([]shardKey{}, kept.keys...), weakened(other.keys)...)}, nil
}

func weakened(keys []shardKey) []shardKey {
	out := make([]shardKey, len(keys))
	for i, k := range keys {
		k.weak = true
		out[i] = k
	}
	return out
}

// fullKeys reports whether a FULL JOIN's own condition equates a key of each side.
func fullKeys(j *jnode, l, r []shardKey) bool {
	equal := func(x, y colID) bool {
		for _, e := range j.equal {
			if e == [2]colID{x, y} || e == [2]colID{y, x} {
				return true
			}
		}
		return false
	}
	for _, x := range l {
		for _, y := range r {
			ok := x.group == y.group && len(x.cols) == len(y.cols)
			for i := 0; ok && i < len(x.cols); i++ {
				ok = equal(x.cols[i], y.cols[i])
			}
			if ok {
				return true
			}
		}
	}
	return false
}
