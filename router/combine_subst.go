package router

import (
	"fmt"
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

type rewriter = func(sqlparse.Node) (with sqlparse.Node, children bool)

// over rewrites expressions of the level, or of a subquery in one, as expressions over the partial rows. inside is true
// where columns need not be grouped by: in an aggregate's arguments and in what is a group itself.
func (c *combiner) over(sc *scope, inside bool) rewriter {
	var f rewriter
	f = func(n sqlparse.Node) (sqlparse.Node, bool) {
		if c.bad {
			return n, false
		}
		if !inside && len(c.groups) > 0 {
			if col, ok := c.groups[c.key(n, sc)]; ok {
				if !c.rows {
					return partNode(col), false
				}
				return sqlparse.Rewrite(n, c.over(sc, true)), false
			}
		}
		switch {
		case n.GetColumnRef() != nil:
			return c.columnRef(n, sc, inside), false
		case n.GetSubLink() != nil:
			c.subLink(n.GetSubLink(), sc, f)
			return n, false
		case n.GetSelectStmt() != nil, n.GetCurrentOfExpr() != nil:
			c.bad = true
		case c.aggregates(n):
			if sc != c.q.scope || inside && !c.rows {
				c.bad = true // an outer aggregate, or a nested one: an error of PostgreSQL's
				return n, false
			}
			if !c.rows {
				return c.aggregate(n), false
			}
			sqlparse.RewriteChildren(n, c.over(sc, true))
			return n, false
		case c.rows && (inside || !c.grouping) && c.jsonPath(n, sc):
			return partNode(c.column(n, sc)), false
		}
		return n, true
	}
	return f
}

// aggregates reports whether a node is a call of an aggregate, not as a window function.
func (c *combiner) aggregates(n sqlparse.Node) bool {
	return isJSONAggregate(n) || n.GetFuncCall() != nil && n.GetFuncCall().Over == nil && c.a.callFacts(n.GetFuncCall())&fnAggregate != 0
}

// callFacts are the facts of a call's function.
func (a *analysis) callFacts(f *sqlparse.FuncCall) fnFacts {
	switch name := sqlparse.Strings(f.Funcname); len(name) {
	case 1:
		return a.env.functionFacts("", name[0])
	case 2:
		return a.env.functionFacts(name[0], name[1])
	}
	return fnUnknown
}

// key is the same for two expressions that mean the same.
func (c *combiner) key(n sqlparse.Node, sc *scope) string {
	return sqlparse.Key(n, func(ref *sqlparse.ColumnRef) string {
		if id, at := sc.lookup(ref); at != nil && at.level == c.q && id.r != nil {
			return fmt.Sprintf("column %p %d", id.r, id.i)
		}
		return ""
	})
}

// columnRef replaces a column of the level.
func (c *combiner) columnRef(n sqlparse.Node, sc *scope, inside bool) sqlparse.Node {
	ref := n.GetColumnRef()
	if hasStar(ref.Fields) {
		c.bad = true
		return n
	}
	id, at := sc.lookup(ref)
	switch {
	case at == nil: // a whole row, a system column, or what PostgreSQL does not know
		c.bad = true
		return n
	case at.level != c.q:
		return n
	case !inside && c.grouping && !c.depends(id), !inside && !c.rows && !c.grouping:
		c.bad = true
		return n
	}
	col := c.column(n, sc)
	if !inside && c.grouping && !slices.Contains(c.dependent, col) {
		c.dependent = append(c.dependent, col)
	}
	return partNode(col)
}

// depends reports whether a column follows from the primary key of its table, which is among the groups
// (check_functional_grouping in pg_constraint.c), and can be grouped by itself.
func (c *combiner) depends(id colID) bool {
	if id.r == nil || id.r.table == nil || len(id.r.table.PrimKey) == 0 || id.i >= len(id.r.table.Columns) {
		return false
	}
	for _, k := range id.r.table.PrimKey {
		if !contains(c.q.group, colID{id.r, k}) {
			return false
		}
	}
	t, ok := partTypes[id.r.table.Columns[id.i].TypeOID]
	return ok && !notGrouped[t.name]
}

// column makes an expression a column of the partial rows, once.
func (c *combiner) column(n sqlparse.Node, sc *scope) int {
	key := c.key(n, sc)
	if i, ok := c.byKey[key]; ok {
		return i
	}
	sql, ok := sqlparse.WrittenExpr(n)
	if !ok || sc != c.q.scope && n.GetColumnRef() == nil {
		c.bad = true
		return 0
	}
	var id colID
	if ref := n.GetColumnRef(); ref != nil {
		id, _ = sc.lookup(ref)
		if sc != c.q.scope { // a name as the subquery sees it
			sql = c.nameAtLevel(id)
		}
	}
	col := PartColumn{SQL: sql, Collation: c.a.collationOf(n, id, sc)}
	if o := c.a.origin(id); o.r != nil {
		if t := o.r.table.Columns[o.i]; t.TypeOID >= firstUserOID {
			col.Type = t.TypeName
		}
	}
	c.columns = append(c.columns, col)
	c.byKey[key] = len(c.columns) - 1
	return len(c.columns) - 1
}

// nameAtLevel is the SQL of a column as the level itself names it.
func (c *combiner) nameAtLevel(id colID) string {
	for _, it := range c.q.scope.ns.items {
		for _, col := range it.cols {
			if col.id == id && id.r != nil && it.rel != nil {
				return quoteIdent(it.name) + "." + quoteIdent(col.name)
			}
		}
	}
	c.bad = true
	return ""
}

// origin is the table column that a column simply is, through subqueries; zero where there is none.
func (a *analysis) origin(id colID) colID {
	for depth := 0; id.r != nil && id.r.table == nil && depth < maxLevels; depth++ {
		q := id.r.sub
		if q == nil || len(q.arms) > 0 || q.recursive || id.i >= len(q.out) {
			return colID{}
		}
		id = q.out[id.i].id
	}
	if id.r == nil || id.r.table == nil || id.i >= len(id.r.table.Columns) {
		return colID{}
	}
	return id
}

func partNode(col int) sqlparse.Node {
	return sqlparse.ColumnNode(partAlias, partPrefix+"_c"+itoa(col))
}

// jsonPath reports whether a node takes a part out of a document by constant names, which fails for no document: then
// the part can travel in the document's place.
func (c *combiner) jsonPath(n sqlparse.Node, sc *scope) bool {
	e := n.GetAExpr()
	name := sqlparse.Strings(e.GetName())
	if e == nil || e.Kind != sqlparse.ExprOp || len(name) != 1 || e.Lexpr == nil || e.Rexpr.GetAConst() == nil || sc != c.q.scope {
		return false
	}
	switch name[0] {
	case "->", "->>":
	case "#>", "#>>": // the path is an array literal, which may be malformed: PostgreSQL says so of the client's text
	default:
		return false
	}
	if ref := e.Lexpr.GetColumnRef(); ref != nil {
		id, at := sc.lookup(ref)
		typ := c.a.baseType(id, 0)
		return at == sc && (typ == typeOIDs["json"] || typ == typeOIDs["jsonb"])
	}
	inner := sqlparse.Strings(e.Lexpr.GetAExpr().GetName())
	return len(inner) == 1 && (inner[0] == "->" || inner[0] == "#>") && c.jsonPath(e.Lexpr, sc)
}

// subLink rewrites a subquery that stays in the final statement: it must read nothing sharded. Where it is correlated,
// only its outermost level may be.
func (c *combiner) subLink(sl *sqlparse.SubLink, sc *scope, f rewriter) {
	sub := c.sublinks[sl.Location]
	if sub == nil || sc != c.q.scope || sub.q.hasSharded() {
		c.bad = true
		return
	}
	c.finalSubs = true
	sl.Testexpr = sqlparse.Rewrite(sl.Testexpr, f)
	correlated, deep := false, false
	sub.q.walk(func(q *query) {
		correlated = correlated || q.correlated
		deep = deep || q != sub.q
	})
	if !correlated {
		return
	}
	sel := sl.Subselect.GetSelectStmt()
	if deep || sel == nil || len(sel.SortClause) > 0 || len(sel.GroupClause) > 0 || len(sel.DistinctClause) > 0 || sel.WithClause != nil {
		c.bad = true
		return
	}
	inner := c.over(sub.q.scope, false)
	sqlparse.RewriteChildren(sl.Subselect, func(n sqlparse.Node) (sqlparse.Node, bool) {
		switch {
		case c.aggregates(n): // of the subquery's own: see several
			return n, true
		case n.GetColumnRef() != nil && hasStar(n.GetColumnRef().Fields) && len(n.GetColumnRef().Fields) == 1:
			return n, false
		case n.GetResTarget() != nil, n.GetRangeVar() != nil, n.GetJoinExpr() != nil:
			return n, true
		}
		return inner(n)
	})
}
