package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// reduceJoins turns outer joins into stricter ones where WHERE rejects the rows they add, as reduce_outer_joins
// (prepjointree.c) does: the condition of an inner join restricts both sides.
func (a *analysis) reduceJoins(q *query, where sqlparse.Node, sc *scope) {
	rejected := a.rejectsNull(where, sc, nil)
	if len(rejected) == 0 || a.env.operatorShadowed() {
		return
	}
	for _, j := range q.from {
		a.reduceJoin(q, j, rejected)
	}
}

// rejectsNull lists relations whose all-NULL row cannot pass a condition: one of their columns stands in a comparison
// that is a conjunct.
func (a *analysis) rejectsNull(n sqlparse.Node, sc *scope, out []*rel) []*rel {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == sqlparse.BoolAnd {
		for _, arg := range b.Args {
			out = a.rejectsNull(arg, sc, out)
		}
		return out
	}
	e := n.GetAExpr()
	if e == nil || e.Kind != sqlparse.ExprOp && e.Kind != sqlparse.ExprIn {
		return out
	}
	name := sqlparse.Strings(e.Name)
	if len(name) != 1 || !comparisons[name[0]] || e.Kind == sqlparse.ExprIn && name[0] != "=" {
		return out
	}
	// Comparisons of built-in types are strict; a user type's operator need not be.
	sides := []sqlparse.Node{e.Lexpr}
	if e.Kind == sqlparse.ExprOp {
		sides = append(sides, e.Rexpr)
	}
	for _, side := range sides {
		if c := a.column(side, sc); c.r != nil && builtinOID(a.baseType(c, 0)) {
			out = append(out, c.r)
		}
	}
	return out
}

// builtinOID is true of types that PostgreSQL itself defines (FirstNormalObjectId in transam.h).
func builtinOID(oid uint32) bool { return oid > 0 && oid < firstUserOID }

const firstUserOID = 16384

func (a *analysis) reduceJoin(q *query, j *jnode, rejected []*rel) {
	if j.rel != nil {
		return
	}
	hits := func(side *jnode) bool {
		return slices.ContainsFunc(side.leaves, func(r *rel) bool { return slices.Contains(rejected, r) })
	}
	l, r := hits(j.left), hits(j.right)
	was := j.typ
	switch {
	case j.typ == sqlparse.JoinLeft && r, j.typ == sqlparse.JoinRight && l, j.typ == sqlparse.JoinFull && l && r:
		j.typ = sqlparse.JoinInner
	case j.typ == sqlparse.JoinFull && l:
		j.typ = sqlparse.JoinLeft
	case j.typ == sqlparse.JoinFull && r:
		j.typ = sqlparse.JoinRight
	}
	if j.typ != was {
		dom := j.leaves
		switch j.typ {
		case sqlparse.JoinLeft:
			dom = j.right.leaves
		case sqlparse.JoinRight:
			dom = j.left.leaves
		}
		for _, u := range j.using {
			a.equal(nil, u[0], u[1], dom)
		}
		if j.quals != nil {
			a.conjunct(q, j.quals, j.on, dom)
		}
	}
	// What WHERE rejects above an inner join it rejects below; below an outer join only on the kept side, and on the
	// other too for the joins inside it.
	a.reduceJoin(q, j.left, rejected)
	a.reduceJoin(q, j.right, rejected)
}
