package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// ungroupable are built-in types without an equality that GROUP BY takes: json, xml, the geometric ones, jsonpath, refcursor, snapshots.
var ungroupable = []uint32{114, 142, 194, 600, 601, 602, 603, 604, 628, 718, 1790, 2970, 4072, 5038}

// dependent makes up for the primary key that a fetched relation has no more: where a level groups by it, the relation's other
// columns follow from it and need not be grouped by (check_functional_grouping in pg_constraint.c). They are added to GROUP BY,
// which makes no other groups. None are added where the level names none of them outside of aggregates.
func (b *gatherBuilder) dependent(toks []sqlparse.Token, r *rel) ([]Splice, *pgerr.Error) {
	q, t := r.level, r.table
	if t == nil || q == nil || q.sel == nil || q.scope == nil || len(q.sel.GroupClause) == 0 || len(t.PrimKey) == 0 {
		return nil, nil
	}
	group := b.everyGroup(q)
	for _, i := range t.PrimKey {
		if !contains(group, colID{r, i}) {
			return nil, nil
		}
	}
	meant, takes := b.namesUngrouped(q, r, group)
	if !meant {
		return nil, nil
	}
	names, ok := outsideSets(q, b.names[r.place.rv])
	at := groupStart(toks, q.sel.GroupClause)
	if !ok || !takes || at == 0 || len(names) == 0 || !reachable(q, r) {
		return nil, refGroupedKey
	}
	return []Splice{{Start: at, End: at, With: " " + strings.Join(names, ", ") + ","}}, nil
}

// reachable reports whether a relation's columns can be named by its own name: a join's alias hides it.
func reachable(q *query, r *rel) bool {
	id, ok, _ := q.scope.ns.qualified([]string{relationName(r.place.rv)}, r.cols[r.table.PrimKey[0]])
	return ok && id.r == r
}

func relationName(rv *sqlparse.RangeVar) string {
	if rv.Alias != nil {
		return rv.Alias.Aliasname
	}
	return rv.Relname
}

// outsideSets leaves those columns out that some grouping sets have and others lack. ok is false where a set has anything but
// columns.
func outsideSets(q *query, names []string) (out []string, ok bool) {
	if !q.groupingSets {
		return names, true
	}
	ok = true
	in := map[string]bool{}
	sqlparse.WalkList(q.sel.GroupClause, func(n sqlparse.Node) bool {
		parts := sqlparse.Strings(n.GetColumnRef().GetFields())
		if len(parts) > 0 {
			in[quoteIdent(parts[len(parts)-1])] = true
		}
		ok = ok && (len(parts) > 0 || n.GetGroupingSet() != nil || n.GetRowExpr() != nil)
		return n.GetColumnRef() == nil
	})
	for _, name := range names {
		if !in[name[strings.LastIndexByte(name, '.')+1:]] {
			out = append(out, name)
		}
	}
	return out, ok
}

// everyGroup lists the plain columns by which a level groups, of grouping sets those that each set has.
func (b *gatherBuilder) everyGroup(q *query) []colID {
	out := slices.Clone(q.group)
	for _, g := range q.sel.GroupClause {
		set := g.GetGroupingSet()
		if set == nil || set.Kind != sqlparse.GroupingSets {
			continue
		}
		for i, n := range set.Content {
			var ids []colID
			for _, f := range rowFields(n) {
				if id := b.a.column(f, q.scope); id.r != nil {
					ids = append(ids, id)
				}
			}
			if i == 0 {
				out = append(out, ids...)
			} else {
				out = slices.DeleteFunc(out, func(id colID) bool { return !contains(ids, id) && !contains(q.group, id) })
			}
		}
	}
	return out
}

// namesUngrouped reports whether a level may name a column of r outside of aggregates that is none of group; takes is false
// where GROUP BY does not take it.
func (b *gatherBuilder) namesUngrouped(q *query, r *rel, group []colID) (found, takes bool) {
	takes = true
	groupable := func(c Column) bool { return !slices.Contains(ungroupable, c.TypeOID) }
	see := func(n sqlparse.Node) bool {
		switch ref := n.GetColumnRef(); {
		case isJSONAggregate(n), n.GetGroupingFunc() != nil, n.GetFuncCall() != nil && n.GetFuncCall().Over == nil && b.facts(n.GetFuncCall())&fnAggregate != 0:
			return false
		case ref != nil:
			id, at := q.scope.lookup(ref)
			switch {
			case id.r == r && !contains(group, id):
				found, takes = true, takes && groupable(r.table.Columns[id.i])
			case at == nil && meansRow(ref, r.place.rv):
				found, takes = true, takes && !slices.ContainsFunc(r.table.Columns, func(c Column) bool { return !groupable(c) })
			}
		}
		return true
	}
	sqlparse.WalkList(q.sel.TargetList, see)
	sqlparse.Walk(q.sel.HavingClause, see)
	sqlparse.WalkList(q.sel.SortClause, see)
	sqlparse.WalkList(q.sel.DistinctClause, see)
	sqlparse.WalkList(q.sel.WindowClause, see)
	return found, takes
}

// meansRow is true of *, of the relation's name with a star behind, and of its name alone.
func meansRow(ref *sqlparse.ColumnRef, rv *sqlparse.RangeVar) bool {
	parts := sqlparse.Strings(ref.Fields)
	return len(parts) == 0 || parts[len(parts)-1] == relationName(rv) && (len(parts) == 1 || len(parts) < len(ref.Fields))
}

// groupStart is the place of a GROUP BY's first item; 0 if it is not found.
func groupStart(toks []sqlparse.Token, group []sqlparse.Node) int {
	for _, g := range group {
		ref, set := g.GetColumnRef(), g.GetGroupingSet()
		at := -1
		switch {
		case ref != nil:
			at = int(ref.Location)
		case set != nil:
			at = int(set.Location)
		case g.GetAConst() != nil:
			at = int(g.GetAConst().Location)
		}
		i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == at })
		if at < 0 || i < 0 {
			continue
		}
		for k := i; k > 0; k-- {
			if toks[k].Word != "by" || toks[k-1].Word != "group" || toks[k].Depth != toks[i].Depth {
				continue
			}
			if k+1 < len(toks) && (toks[k+1].Word == "distinct" || toks[k+1].Word == "all") {
				k++
			}
			return toks[k].End
		}
	}
	return 0
}
