package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// join analyses a JOIN.
func (a *analysis) join(q *query, j *sqlparse.JoinExpr, sc *scope) (*jnode, *namespace) {
	left, lns := a.fromItem(q, j.Larg, sc)
	// LATERAL on the right sees the left side too.
	seen := &namespace{}
	seen.add(sc.ns)
	seen.add(lns)
	right, rns := a.fromItem(q, j.Rarg, &scope{ns: seen, parent: sc.parent, ctes: sc.ctes, level: sc.level})
	if left == nil || right == nil {
		return nil, &namespace{open: true}
	}
	node := &jnode{typ: j.Jointype, left: left, right: right, quals: j.Quals}
	node.leaves = append(append(node.leaves, left.leaves...), right.leaves...)
	var dom, filtered []*rel
	switch j.Jointype {
	case sqlparse.JoinInner:
		dom, filtered = node.leaves, kept(node.leaves)
	case sqlparse.JoinLeft:
		dom, filtered = right.leaves, kept(right.leaves)
		setNullable(right.leaves)
	case sqlparse.JoinRight:
		dom, filtered = left.leaves, kept(left.leaves)
		setNullable(left.leaves)
	case sqlparse.JoinFull:
		setNullable(node.leaves)
	default:
		a.refuse(refStatement)
	}
	using := sqlparse.Strings(j.UsingClause)
	if j.IsNatural {
		names, ok := common(lns, rns)
		if !ok {
			lns.open = true
		}
		using = names
	}
	ns := merged(lns, rns, using, j.Jointype)
	for _, u := range using {
		l, lok, _ := lns.unqualified(u)
		r, rok, _ := rns.unqualified(u)
		if lok && rok {
			node.using = append(node.using, [2]colID{l, r})
			a.equal(node, l, r, dom)
		}
	}
	on := &scope{ns: ns, parent: sc.parent, ctes: sc.ctes, level: sc.level}
	node.on = on
	if j.Quals != nil {
		a.expr(q, j.Quals, on, &q.whereFacts)
		a.filters = append(a.filters, filter{j.Quals, on, filtered})
		a.conjunct(q, j.Quals, on, dom)
		if j.Jointype == sqlparse.JoinFull {
			a.fullEquals(node, j.Quals, on)
		}
	}
	if alias := j.JoinUsingAlias; alias != nil {
		cols := append([]nsCol(nil), ns.cols[:len(using)]...)
		ns.items = append(ns.items, nsItem{name: alias.Aliasname, cols: cols})
	}
	if j.Alias != nil {
		ns = renamed(ns, j.Alias)
	}
	return node, ns
}

// renamed is a join's namespace behind an alias: the tables inside cannot be named any more.
func renamed(ns *namespace, alias *sqlparse.Alias) *namespace {
	cols := append([]nsCol(nil), ns.cols...)
	for i, c := range sqlparse.Strings(alias.Colnames) {
		if i < len(cols) {
			cols[i].name = c
		}
	}
	return &namespace{cols: cols, open: ns.open, items: []nsItem{{name: alias.Aliasname, cols: cols, open: ns.open}}}
}

// kept are the relations that no outer join so far has null-extended: a condition applies to their rows as they are.
func kept(rels []*rel) (out []*rel) {
	for _, r := range rels {
		if !r.nullable {
			out = append(out, r)
		}
	}
	return out
}

func setNullable(rels []*rel) {
	for _, r := range rels {
		r.nullable = true
	}
}
