package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// writeEverywhere plans an UPDATE or DELETE of a reference table: the same text on every backend, if it is proved to
// do the same everywhere.
func (p *planner) writeEverywhere(a *analysis, q *query, r *rel) {
	p.t.Effect = max(p.t.Effect, a.effect())
	p.t.Unknown = len(a.unknown) > 0
	p.t.Sync = p.t.Sync || r.table.Sync
	if err := a.everywhere(q, r, p.oneMatch); err != nil {
		p.copyRows(a, q, r, err)
		return
	}
	p.t.Kind = KindEverywhere
}

// everywhere proves that a write gives every copy of a reference table the same rows. oneMatch says that other relations have
// at most one row for each of the table's.
func (a *analysis) everywhere(q *query, target *rel, oneMatch bool) *pgerr.Error {
	switch {
	case a.err != nil:
		return a.err
	case a.writes:
		return refRefCTE
	case len(a.unknown) > 0:
		return pgerr.New(pgerr.UndefinedTable, "relation %q does not exist", a.unknown[0])
	case a.local || a.system || a.sequence || a.noScatter != nil || a.hiddenClock || a.fn&(fnImpure&^fnStable&^fnClock|fnClockInside) != 0 || a.tableOID:
		return refRefWrite
	}
	var err *pgerr.Error
	q.walk(func(l *query) {
		switch {
		case err != nil:
		case l.sel == nil || l.recursive || l.unorderedAggregate(a):
			err = refRefWrite
		case l.sel.LimitCount != nil || l.sel.LimitOffset != nil || isDistinctOn(l.sel) || len(l.windows) > 0 || l.sample:
			err = refRefLimit
		}
		for _, r := range l.rels {
			if r.sharded() {
				err = refRefWrite
			}
		}
	})
	if err != nil {
		return err
	}
	for _, r := range q.rels {
		if q.merges {
			break // a second source row that changes a row of the target is an error
		}
		if r != target && !oneMatch && !a.oneRow(r) {
			return refRefWrite
		}
	}
	return nil
}

// oneRow reports whether a relation beside the target gives at most one row for each of the target's: only then does
// which of several rows is taken not depend on the backend.
func (a *analysis) oneRow(r *rel) bool {
	if r.table == nil || len(r.table.PrimKey) == 0 {
		return false
	}
	for _, k := range r.table.PrimKey {
		c := colID{r, k}
		bound := slices.ContainsFunc(a.edges, func(e edge) bool { return e.to == c && e.from.r != r }) ||
			slices.ContainsFunc(a.facts, func(f constFact) bool { return f.c == c && len(f.vals) == 1 && f.vals[0].alone() })
		if !bound {
			return false
		}
	}
	return true
}

// steadyAggregates give the same value in whatever order the rows come.
var steadyAggregates = map[string]bool{
	"count": true, "min": true, "max": true, "bool_and": true, "bool_or": true, "every": true, "bit_and": true,
	"bit_or": true, "bit_xor": true,
}

// unorderedAggregate reports whether the level has an aggregate that may depend on the order of its input.
func (q *query) unorderedAggregate(a *analysis) bool {
	if !q.aggregates {
		return false
	}
	found := false
	visit := func(n sqlparse.Node) bool {
		if f := n.GetFuncCall(); f != nil {
			name := sqlparse.Strings(f.Funcname)
			last := name[len(name)-1]
			if a.env.functionFacts("", last)&fnAggregate != 0 && !steadyAggregates[last] {
				found = true
			}
		}
		return n.GetSubLink() == nil
	}
	sqlparse.WalkList(q.sel.TargetList, visit)
	sqlparse.Walk(q.sel.HavingClause, visit)
	return found
}

// steadyCast reports whether a cast's type reads its text the same at any time.
func steadyCast(t *sqlparse.TypeName) bool {
	names := sqlparse.Strings(t.GetNames())
	if len(names) == 0 || len(names) > 2 || len(names) == 2 && names[0] != "pg_catalog" {
		return false
	}
	switch last := names[len(names)-1]; last {
	case "date", "time", "timetz", "timestamp", "timestamptz":
		return false
	case "regclass", "regtype", "regproc", "regprocedure", "regrole", "regnamespace", "xml", "inet", "cidr", "macaddr", "tsvector", "tsquery", "oid":
		return true
	default:
		return typeOIDs[last] != 0
	}
}

// steadyInput are built-in types whose text means the same at any time.
var steadyInput = func() map[uint32]bool {
	m := map[uint32]bool{}
	for _, oid := range []uint32{16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 601, 602, 603, 604, 628, 650, 700,
		701, 718, 774, 790, 829, 869, 1042, 1043, 1560, 1562, 1700, 2950, 3614, 3615, 3802, 4072, 1186,
		1000, 1001, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1231, 2951, 3807, 199, 3904, 3906, 3926} {
		m[oid] = true
	}
	return m
}()
