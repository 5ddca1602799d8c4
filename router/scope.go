package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// colID names one column of one relation of the statement; the zero colID is a column that could not be resolved.
type colID struct {
	r *rel
	i int
}

// rel is one relation of a FROM clause (or the target of a write): a table, or a query in its place.
type rel struct {
	table *Table // nil for queries and functions
	sub   *query // a subquery, view or WITH query, analysed anew at each reference
	cols  []string
	open  bool // the columns are not known
	level *query
	// nullable is true below the null-extended side of an outer join of its level.
	nullable bool
	lateral  bool
	facts    fnFacts // of a function in FROM
	target   bool    // written by the statement
	stores   bool    // rows are inserted
	hidden   bool    // a system column of it may be meant
	prune    Pruner
	// place is where the relation is named; nil for what has no name of its own.
	place *place
}

// unit is a text that names relations: the statement, or a view's definition.
type unit struct {
	text string
	tree sqlparse.Node
	view *rel // the view's relation; nil for the statement
}

// place is where a unit names a relation.
type place struct {
	unit *unit
	rv   *sqlparse.RangeVar
	// inner is what stands in a view's place.
	inner *unit
	view  *Table
	// sampled is true behind TABLESAMPLE.
	sampled bool
}

// filter is a condition that the rows of each of rels must meet for the statement to see them, as far as it is of that
// relation's columns alone.
type filter struct {
	n    sqlparse.Node
	sc   *scope
	rels []*rel
}

func (r *rel) sharded() bool { return r.table != nil && r.table.Kind == TableSharded }

// nsCol is a column that can be named; id is zero when it is made of several (FULL JOIN … USING).
type nsCol struct {
	name string
	id   colID
}

// nsItem is what a qualifier names.
type nsItem struct {
	name   string
	schema string // "" behind an alias
	cols   []nsCol
	open   bool
	rel    *rel // nil for a join's alias
}

// namespace is what a FROM clause or a part of it makes visible: PostgreSQL's ParseNamespaceItem list. cols are
// the unqualified names, with USING columns merged.
type namespace struct {
	items []nsItem
	cols  []nsCol
	open  bool
}

func (ns *namespace) add(o *namespace) {
	ns.items = append(ns.items, o.items...)
	ns.cols = append(ns.cols, o.cols...)
	ns.open = ns.open || o.open
}

// scope is one query level during analysis: its namespace so far, the WITH queries it sees, and its parent.
type scope struct {
	ns     *namespace
	parent *scope
	ctes   *cteList
	level  *query
}

// cteList is a chain of WITH names, innermost first.
type cteList struct {
	name      string
	node      *sqlparse.CTE
	next      *cteList // what this name hides
	visible   *cteList // what its own query sees
	scope     *scope   // where it stands
	recursive bool
	dml       *query // data-modifying: analysed once, where it stands
	working   bool   // the recursive query's own name, inside it
	used      bool   // it was referred to
	modifying bool   // dml is being made
}

func (l *cteList) find(name string) *cteList {
	for ; l != nil; l = l.next {
		if l.name == name {
			return l
		}
	}
	return nil
}

// lookup resolves a column reference. at is the scope it belongs to, nil when that is not certain; the colID is zero
// when the column is not a plain column of one relation.
func (sc *scope) lookup(ref *sqlparse.ColumnRef) (id colID, at *scope) {
	parts := sqlparse.Strings(ref.Fields)
	if len(parts) != len(ref.Fields) || len(parts) == 0 || len(parts) > 3 {
		return colID{}, nil
	}
	name := parts[len(parts)-1]
	for s := sc; s != nil; s = s.parent {
		if s.ns == nil {
			continue
		}
		var ok, stop bool
		if len(parts) == 1 {
			id, ok, stop = s.ns.unqualified(name)
		} else {
			id, ok, stop = s.ns.qualified(parts[:len(parts)-1], name)
		}
		if ok {
			return id, s
		}
		if stop {
			return colID{}, nil
		}
	}
	return colID{}, nil
}

// unqualified finds a column by its name alone; stop means that the search must not go on in the parents.
func (ns *namespace) unqualified(name string) (id colID, ok, stop bool) {
	if ns.open {
		return colID{}, false, true
	}
	n := 0
	for _, c := range ns.cols {
		if c.name == name {
			id = c.id
			n++
		}
	}
	if n == 1 {
		return id, true, true
	}
	if n > 1 {
		return colID{}, false, true
	}
	for _, it := range ns.items {
		if it.name == name {
			return colID{}, false, true // a whole row
		}
	}
	return colID{}, false, false
}

func (ns *namespace) qualified(qual []string, name string) (id colID, ok, stop bool) {
	var found *nsItem
	for i := range ns.items {
		it := &ns.items[i]
		if it.name != qual[len(qual)-1] || len(qual) == 2 && it.schema != qual[0] {
			continue
		}
		if found != nil {
			return colID{}, false, true
		}
		found = it
	}
	if found == nil {
		return colID{}, false, false
	}
	n := 0
	for _, c := range found.cols {
		if c.name == name {
			id = c.id
			n++
		}
	}
	return id, n == 1 && !found.open, true
}

// expose makes the namespace of one relation. Column aliases rename the first columns.
func expose(r *rel, alias *sqlparse.Alias, name, schema string) *namespace {
	if alias != nil {
		name, schema = alias.Aliasname, ""
		for i, c := range sqlparse.Strings(alias.Colnames) {
			if i < len(r.cols) {
				if i == 0 {
					r.cols = append([]string(nil), r.cols...)
				}
				r.cols[i] = c
			}
		}
	}
	cols := make([]nsCol, len(r.cols))
	for i, c := range r.cols {
		cols[i] = nsCol{c, colID{r, i}}
	}
	return &namespace{
		items: []nsItem{{name: name, schema: schema, cols: cols, open: r.open, rel: r}},
		cols:  cols,
		open:  r.open,
	}
}

// merged is the namespace of a join: names in using stand once, first, for both sides.
func merged(l, r *namespace, using []string, typ sqlparse.JoinType) *namespace {
	out := &namespace{open: l.open || r.open}
	out.items = append(append(out.items, l.items...), r.items...)
	drop := map[string]bool{}
	for _, u := range using {
		drop[u] = true
		c := nsCol{name: u}
		lid, lok, _ := l.unqualified(u)
		rid, rok, _ := r.unqualified(u)
		switch {
		case !lok || !rok || typ == sqlparse.JoinFull:
		case typ == sqlparse.JoinRight:
			c.id = rid
		default:
			c.id = lid
		}
		out.cols = append(out.cols, c)
	}
	for _, side := range []*namespace{l, r} {
		for _, c := range side.cols {
			if !drop[c.name] {
				out.cols = append(out.cols, c)
			}
		}
	}
	return out
}

// common lists the names NATURAL JOIN equates; ok is false when they cannot be known.
func common(l, r *namespace) (names []string, ok bool) {
	if l.open || r.open {
		return nil, false
	}
	for _, c := range l.cols {
		if _, found, _ := r.unqualified(c.name); found {
			names = append(names, c.name)
		}
	}
	return names, true
}
