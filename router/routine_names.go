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

	// Of a PL/pgSQL body alone:
	prog    *Program
	scopes  [][]int                // what can be seen, by block and loop, outermost first
	labels  []string               // of the blocks and loops around
	record  map[int]bool           // the numbers that are records
	records map[int]*ProgramRecord // and what they hold where it is certain
	fills   map[int]int            // how many statements fill a record
}

// args is how many $n there are, which are the first variables.
func (ns *programNames) args() int {
	if ns.prog != nil {
		return ns.in
	}
	return len(ns.list)
}

// index is the variable that a name means, -1 for none.
func (ns *programNames) index(name string) int {
	if name == "" {
		return -1
	}
	if ns.prog == nil {
		return slices.Index(ns.list, name)
	}
	for i := len(ns.scopes) - 1; i >= 0; i-- {
		for _, at := range ns.scopes[i] {
			if ns.list[at] == name {
				return at
			}
		}
	}
	return -1
}

// argument is the argument of a name, -1 for none.
func (ns *programNames) argument(name string) int { return slices.Index(ns.list[:ns.args()], name) }

// push makes variables visible until pop.
func (ns *programNames) push(vars ...int) { ns.scopes = append(ns.scopes, vars) }

func (ns *programNames) pop() { ns.scopes = ns.scopes[:len(ns.scopes)-1] }

// field is the variable for a field of a record.
func (ns *programNames) field(rec *ProgramRecord, name string) int {
	for _, f := range rec.Fields {
		if f.Name == name {
			return f.Var
		}
	}
	at := len(ns.prog.Vars)
	ns.prog.Vars = append(ns.prog.Vars, ProgramVar{Learned: true})
	ns.list = append(ns.list, "")
	rec.Fields = append(rec.Fields, ProgramField{name, at})
	return at
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
		case open || column && ps.pl || hiddenColumns[parts[0]] || ps.names.record[i]:
			ps.bad = true
		case !column:
			at = i + 1
		}
	case len(parts) == 2 && len(ref.Fields) == 2 && ps.names.records[ps.names.index(parts[0])] != nil && !sc.names(parts[0]):
		at = ps.names.field(ps.names.records[ps.names.index(parts[0])], parts[1]) + 1
	case len(parts) == 2 && len(ref.Fields) == 2 && parts[0] == ps.names.fn && ps.names.argument(parts[1]) >= 0 && ps.names.index(parts[0]) < 0 && !sc.names(parts[0]):
		at = ps.names.argument(parts[1]) + 1
	case ps.names.record[ps.names.index(parts[0])]:
		ps.bad = true
	case ps.names.index(parts[0]) >= 0 || parts[0] == ps.names.fn || slices.Contains(ps.names.labels, parts[0]):
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
