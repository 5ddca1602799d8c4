package router

import "slices"

// solve works out what each sharded relation is restricted to: the facts, carried along edges and links until
// nothing new is learnt, then one Pruner a relation.
func (a *analysis) solve() {
	known := map[colID][]KeyValue{}
	for _, f := range a.facts {
		old, ok := known[f.c]
		if ok {
			a.fold.compares(f.vals, old)
		}
		if !ok || weight(f.vals) < weight(old) {
			known[f.c] = f.vals
		}
	}
	carry := func(from, to colID) bool {
		v, ok := known[from]
		if _, has := known[to]; !ok || has || !a.alike(from, to) {
			return false
		}
		known[to] = v
		return true
	}
	for changed := true; changed; {
		changed = false
		for _, e := range a.edges {
			changed = carry(e.from, e.to) || changed
		}
		for _, l := range a.links {
			changed = carry(l.base, l.out) || changed
			if l.q.pushable(l.col) {
				changed = carry(l.out, l.base) || changed
			}
		}
	}
	for _, r := range a.rels {
		if r.sharded() {
			r.prune = a.pruner(r, known)
		}
	}
}

// weight orders lists of alternatives by how much they restrict; arrays may be long.
func weight(vals []KeyValue) int {
	n := 0
	for _, v := range vals {
		n++
		if v.Array {
			n += 100
		}
	}
	return n
}

// alike reports whether equal values of two columns hash alike: subquery outputs stand for the column they are.
func (a *analysis) alike(x, y colID) bool {
	tx, ty := a.baseType(x, 0), a.baseType(y, 0)
	return tx != 0 && typeClass(tx) == typeClass(ty)
}

func (a *analysis) baseType(c colID, depth int) uint32 {
	if c.r == nil || depth > maxLevels {
		return 0
	}
	if t, ok := a.constTypes[c]; ok {
		return t
	}
	if c.r.sub == nil {
		return c.typeOf()
	}
	q := c.r.sub
	if len(q.arms) > 0 {
		return a.armsType(q, c.i, depth+1)
	}
	if c.i >= len(q.out) {
		return 0
	}
	return a.baseType(q.out[c.i].id, depth+1)
}

// armsType is the type of a set operation's column, when all arms have the same.
func (a *analysis) armsType(q *query, i, depth int) uint32 {
	var typ uint32
	for n, arm := range q.arms {
		var t uint32
		switch {
		case depth > maxLevels:
		case len(arm.arms) > 0:
			t = a.armsType(arm, i, depth+1)
		case i < len(arm.out):
			t = a.baseType(arm.out[i].id, depth+1)
		}
		if n > 0 && t != typ {
			return 0
		}
		typ = t
	}
	return typ
}

// pruner combines what is known of a relation's key columns.
func (a *analysis) pruner(r *rel, known map[colID][]KeyValue) Pruner {
	t := r.table
	p := Pruner{Table: t, Stores: r.stores}
	single := make([][]KeyValue, len(t.Key))
	combinations := 1
	for i, k := range t.Key {
		single[i] = known[colID{r, k}]
		if combinations <= maxAlternatives {
			combinations *= len(single[i])
		}
	}
	full := len(t.Key) > 0
	for _, s := range single {
		full = full && s != nil
	}
	if full && combinations <= maxAlternatives {
		p.Tuples = cross(single)
	}
	best := full && combinations <= maxAlternatives
	for _, f := range a.boxes {
		if !slices.Contains(f.dom, r) {
			continue
		}
		tuples, ok := boxTuples(r, f.boxes, single)
		if ok && best {
			a.fold.compares(slices.Concat(tuples...), slices.Concat(p.Tuples...))
		}
		if ok && (!best || len(tuples) < len(p.Tuples)) {
			p.Tuples, best = tuples, true
		}
	}
	p.All = !best
	return p
}

// boxTuples lists the keys of a disjunction; ok is false when an alternative leaves a key column open.
func boxTuples(r *rel, boxes []box, single [][]KeyValue) (out []KeyTuple, ok bool) {
	for _, b := range boxes {
		vals := make([][]KeyValue, len(single))
		n := 1
		for i, k := range r.table.Key {
			vals[i] = single[i]
			if v, has := b[colID{r, k}]; has {
				vals[i] = v
			}
			if vals[i] == nil {
				return nil, false
			}
			n *= len(vals[i])
		}
		if len(out)+n > maxAlternatives {
			return nil, false
		}
		out = append(out, cross(vals)...)
	}
	return out, true
}

// cross is the cross product of each key column's alternatives.
func cross(vals [][]KeyValue) []KeyTuple {
	out := []KeyTuple{{}}
	for _, col := range vals {
		next := make([]KeyTuple, 0, len(out)*len(col))
		for _, t := range out {
			for _, v := range col {
				next = append(next, append(slices.Clip(slices.Clone(t)), v))
			}
		}
		out = next
	}
	return out
}
