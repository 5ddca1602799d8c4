package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// programNames are the variables of a program by name; "" has none.
type programNames struct {
	fn   string
	list []string
	in   int // how many of a PL/pgSQL body's are arguments
}

func (ns *programNames) args(pl bool) int {
	if pl {
		return ns.in
	}
	return len(ns.list)
}

func (ns *programNames) index(name string) int {
	if name == "" {
		return -1
	}
	return slices.Index(ns.list, name)
}

// programUses are where a statement names variables: of holds their numbers, from 1.
type programUses struct {
	names *programNames
	pl    bool
	of    map[*sqlparse.ColumnRef]int
	bad   bool
}

// see judges a column reference. A name that is a column is that in SQL, and an error in PL/pgSQL (42702) where it is a
// variable too.
func (ps *programUses) see(ref *sqlparse.ColumnRef, sc *scope) {
	parts := sqlparse.Strings(ref.Fields)
	at := 0
	switch i := -1; {
	case len(parts) == 0:
	case len(parts) == 1 && len(ref.Fields) == 1:
		if i = ps.names.index(parts[0]); i < 0 {
			break
		}
		switch column, open := sc.has(parts[0]); {
		case open || column && ps.pl || hiddenColumns[parts[0]]:
			ps.bad = true
		case !column:
			at = i + 1
		}
	case len(parts) == 2 && len(ref.Fields) == 2 && parts[0] == ps.names.fn && ps.names.index(parts[1]) >= 0 && !sc.names(parts[0]):
		at = ps.names.index(parts[1]) + 1
	case ps.names.index(parts[0]) >= 0 || parts[0] == ps.names.fn:
		ps.bad = ps.bad || !sc.names(parts[0])
	}
	if before, again := ps.of[ref]; again && before != at {
		ps.bad = true
	}
	ps.of[ref] = at
}

// settled reports whether every name in the statement is certain to be a column or a variable.
func (ps *programUses) settled(n sqlparse.Node) bool {
	bare := func(list []sqlparse.Node) {
		for _, n := range list {
			parts := sqlparse.Strings(n.GetColumnRef().GetFields())
			ps.bad = ps.bad || len(parts) == 1 && ps.names.index(parts[0]) >= 0
		}
	}
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetColumnRef() != nil:
			if _, seen := ps.of[n.GetColumnRef()]; !seen {
				for _, part := range sqlparse.Strings(n.GetColumnRef().Fields) {
					ps.bad = ps.bad || ps.names.index(part) >= 0
				}
			}
		case n.GetSelectStmt() != nil:
			s := n.GetSelectStmt()
			bare(s.GroupClause)
			bare(s.DistinctClause)
			for _, by := range s.SortClause {
				bare([]sqlparse.Node{by.GetSortBy().GetNode()})
			}
		}
		return true
	})
	return !ps.bad
}
