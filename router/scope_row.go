package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// levelOf is the scope that a column reference belongs to, be it a column or a relation's row; nil when that is not certain.
func (sc *scope) levelOf(ref *sqlparse.ColumnRef) *scope {
	if _, at := sc.lookup(ref); at != nil {
		return at
	}
	return sc.rowOf(ref)
}

// rowOf is the scope of the relation whose row a reference means: r, r.* or schema.r.*. A name alone is first of all that of a
// column of any level (transformColumnRef in parse_expr.c), and r.f may be a function of the row: it is no certain one.
func (sc *scope) rowOf(ref *sqlparse.ColumnRef) *scope {
	names := sqlparse.Strings(ref.Fields)
	star := len(names) < len(ref.Fields)
	switch {
	case len(names) == 0 || len(names) > 2 || !star && len(names) > 1 || star && !hasStar(ref.Fields[len(names):]):
		return nil
	case !star && (slices.Contains(systemColumns, names[0]) || !sc.noColumn(names[0])):
		return nil
	}
	for ; sc != nil; sc = sc.parent {
		if sc.ns == nil {
			continue
		}
		found := 0
		for _, it := range sc.ns.items {
			if it.name == names[len(names)-1] && (len(names) == 1 || it.schema == names[0]) {
				found++
			}
		}
		switch {
		case found == 1:
			return sc
		case found > 1 || sc.ns.open:
			return nil
		}
	}
	return nil
}

// noColumn reports whether no level certainly has a column of that name.
func (sc *scope) noColumn(name string) bool {
	for ; sc != nil; sc = sc.parent {
		if sc.ns != nil && (sc.ns.open || slices.ContainsFunc(sc.ns.cols, func(c nsCol) bool { return c.name == name })) {
			return false
		}
	}
	return true
}
