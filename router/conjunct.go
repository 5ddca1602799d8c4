package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// maxAlternatives bounds the values and combinations that a plan lists for one relation; past it nothing is
// proved and all shards are asked.
const maxAlternatives = 10000

// equal notes the equality of two columns that holds for all rows a join or WHERE lets through: dom are the
// relations whose other rows cannot matter.
func (a *analysis) equal(node *jnode, l, r colID, dom []*rel) {
	if l.r == nil || r.r == nil || l == r {
		return
	}
	if slices.Contains(dom, r.r) {
		a.edges = append(a.edges, edge{l, r})
	}
	if slices.Contains(dom, l.r) {
		a.edges = append(a.edges, edge{r, l})
	}
	if node != nil && node.typ == sqlparse.JoinFull {
		node.equal = append(node.equal, [2]colID{l, r})
	}
}

// conjunct reads a condition that rows must meet: what it restricts, and among which relations, is noted.
func (a *analysis) conjunct(q *query, n sqlparse.Node, sc *scope, dom []*rel) {
	if n == nil || a.env.operatorShadowed() {
		return
	}
	if b := n.GetBoolExpr(); b != nil && b.Boolop == sqlparse.BoolAnd {
		for _, arg := range b.Args {
			a.conjunct(q, arg, sc, dom)
		}
		return
	}
	if e := n.GetAExpr(); e != nil && e.Kind == sqlparse.ExprOp && isEquals(e) {
		for _, p := range rowPairs(e.Lexpr, e.Rexpr) {
			l, r := a.column(p[0], sc), a.column(p[1], sc)
			a.equal(nil, l, r, dom)
		}
	}
	if sl := n.GetSubLink(); sl != nil {
		a.semiJoin(q, sl, dom)
		return
	}
	if boxes := a.alternatives(n, sc); boxes != nil {
		a.note(boxes, dom)
	}
}

// note stores a condition's alternatives: per column where there is a value in each, and as boxes where columns
// belong together.
func (a *analysis) note(boxes []box, dom []*rel) {
	if len(boxes) == 0 {
		return
	}
	for c := range boxes[0] {
		if !slices.Contains(dom, c.r) {
			continue
		}
		vals, ok := []KeyValue{}, true
		for _, b := range boxes {
			v, has := b[c]
			ok = ok && has
			vals = append(vals, v...)
		}
		if ok && len(vals) <= maxAlternatives {
			a.facts = append(a.facts, constFact{c, vals})
		}
	}
	if len(boxes) > 1 {
		a.boxes = append(a.boxes, boxFact{dom, boxes})
	}
}

// alternatives turns a condition into a disjunction of boxes; nil when it restricts nothing that can be told.
func (a *analysis) alternatives(n sqlparse.Node, sc *scope) []box {
	switch {
	case n.GetBoolExpr() != nil:
		return a.boolAlternatives(n, sc)
	case n.GetAExpr() == nil:
		return nil
	}
	e := n.GetAExpr()
	if !isEquals(e) {
		return nil
	}
	switch e.Kind {
	case sqlparse.ExprOp:
		b := box{}
		for _, p := range rowPairs(e.Lexpr, e.Rexpr) {
			a.constPair(b, p[0], p[1], sc)
			a.constPair(b, p[1], p[0], sc)
		}
		if len(b) > 0 {
			return []box{b}
		}
	case sqlparse.ExprIn:
		return a.inList(e, sc)
	case sqlparse.ExprOpAny:
		if c := a.column(e.Lexpr, sc); c.r != nil {
			if vals := a.arrayValues(e.Rexpr); vals != nil && oneType(vals, a.baseType(c, 0)) {
				return []box{{c: vals}}
			}
		}
	}
	return nil
}

func (a *analysis) boolAlternatives(n sqlparse.Node, sc *scope) []box {
	b := n.GetBoolExpr()
	var out []box
	switch b.Boolop {
	case sqlparse.BoolAnd:
		for _, arg := range b.Args {
			out = a.combine(out, a.alternatives(arg, sc))
		}
	case sqlparse.BoolOr:
		for _, arg := range b.Args {
			arm := a.alternatives(arg, sc)
			if arm == nil || len(out)+len(arm) > maxAlternatives {
				return nil
			}
			out = append(out, arm...)
		}
	}
	return out
}

// combine is the conjunction of two disjunctions; nil restricts nothing.
func (a *analysis) combine(l, r []box) []box {
	if l == nil || r == nil || len(l)*len(r) > maxAlternatives {
		if l == nil {
			return r
		}
		return l
	}
	out := make([]box, 0, len(l)*len(r))
	for _, x := range l {
		for _, y := range r {
			b := box{}
			for c, v := range x {
				b[c] = v
			}
			for c, v := range y {
				old, ok := b[c]
				if ok {
					a.fold.compares(v, old)
				}
				if !ok || len(v) < len(old) {
					b[c] = v
				}
			}
			out = append(out, b)
		}
	}
	return out
}

// constPair notes in b that column col equals constant val.
func (a *analysis) constPair(b box, col, val sqlparse.Node, sc *scope) {
	c := a.column(col, sc)
	if c.r == nil {
		return
	}
	if v, ok := a.constant(val); ok {
		if _, has := b[c]; !has {
			b[c] = []KeyValue{v}
		}
	}
}

// inList reads "x IN (…)" and "(x, y) IN ((…), (…))".
func (a *analysis) inList(e *sqlparse.AExpr, sc *scope) []box {
	items := e.Rexpr.GetList().GetItems()
	if len(items) == 0 || len(items) > maxAlternatives {
		return nil
	}
	if row := e.Lexpr.GetRowExpr(); row != nil {
		var out []box
		for _, it := range items {
			b := box{}
			for _, p := range rowPairs(e.Lexpr, it) {
				a.constPair(b, p[0], p[1], sc)
			}
			if len(b) == 0 {
				return nil
			}
			out = append(out, b)
		}
		return out
	}
	c := a.column(e.Lexpr, sc)
	if c.r == nil {
		return nil
	}
	vals, folded := a.foldedValues(items)
	if !folded {
		for _, it := range items {
			v, ok := a.constant(it)
			if !ok {
				return nil
			}
			vals = append(vals, v)
		}
	}
	if !oneType(vals, a.baseType(c, 0)) {
		return nil
	}
	return []box{{c: vals}}
}

// oneType is false for lists whose common type is not the column's: PostgreSQL would read the untyped elements as that
// type too. Integers among themselves compare alike in any type.
func oneType(vals []KeyValue, column uint32) bool {
	for _, v := range vals {
		if v.Source != SourceNull && v.TypeOID != 0 && typeClass(v.TypeOID) != typeClass(column) {
			return false
		}
	}
	return true
}

// rowPairs pairs the fields of two rows, or the two sides themselves.
func rowPairs(l, r sqlparse.Node) [][2]sqlparse.Node {
	lr, rr := l.GetRowExpr(), r.GetRowExpr()
	switch {
	case l == nil || r == nil:
		return nil
	case lr == nil && rr == nil:
		return [][2]sqlparse.Node{{l, r}}
	case lr == nil || rr == nil || len(lr.Args) != len(rr.Args):
		return nil
	}
	out := make([][2]sqlparse.Node, len(lr.Args))
	for i := range lr.Args {
		out[i] = [2]sqlparse.Node{lr.Args[i], rr.Args[i]}
	}
	return out
}

// isEquals is true for PostgreSQL's own =.
func isEquals(e *sqlparse.AExpr) bool {
	name := sqlparse.Strings(e.Name)
	return len(name) == 1 && name[0] == "=" || len(name) == 2 && name[0] == "pg_catalog" && name[1] == "="
}

// fullEquals notes a FULL JOIN's own equalities, for telling whether it is co-located.
func (a *analysis) fullEquals(node *jnode, n sqlparse.Node, sc *scope) {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == sqlparse.BoolAnd {
		for _, arg := range b.Args {
			a.fullEquals(node, arg, sc)
		}
		return
	}
	if e := n.GetAExpr(); e != nil && e.Kind == sqlparse.ExprOp && isEquals(e) {
		for _, p := range rowPairs(e.Lexpr, e.Rexpr) {
			a.equal(node, a.column(p[0], sc), a.column(p[1], sc), nil)
		}
	}
}
