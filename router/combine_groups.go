package router

import "github.com/pleiad/pleiad/router/sqlparse"

// groupItems makes the expressions of GROUP BY columns of the partial rows, those of all grouping sets alike: partial
// rows are the finest groups.
func (c *combiner) groupItems(list []sqlparse.Node) {
	for _, n := range list {
		switch {
		case n.GetGroupingSet() != nil:
			c.groupItems(n.GetGroupingSet().Content)
		case implicitRow(n) != nil:
			c.groupItems(implicitRow(n))
		default:
			c.group(c.groupExpr(n))
		}
	}
}

// implicitRow are the fields of (a, b), which GROUP BY takes for a list.
func implicitRow(n sqlparse.Node) []sqlparse.Node {
	if row := n.GetRowExpr(); row != nil && row.RowFormat == sqlparse.ImplicitRow {
		return row.Args
	}
	return nil
}

// groupExpr is the expression that a GROUP BY item means, as findTargetlistEntrySQL92 has it.
func (c *combiner) groupExpr(n sqlparse.Node) sqlparse.Node {
	if k := n.GetAConst(); k != nil {
		if k.GetIval() == nil {
			return nil
		}
		return c.outputExpr(int(k.GetIval().Ival) - 1)
	}
	if name := c.outputName(n); name != "" {
		for i, o := range c.q.out {
			if o.name == name {
				return c.outputExpr(i)
			}
		}
		return nil
	}
	return n
}

// outputName is the name of an output column that a GROUP BY item means: a bare name that no input column has.
func (c *combiner) outputName(n sqlparse.Node) string {
	ref := n.GetColumnRef()
	if ref == nil || len(ref.Fields) != 1 {
		return ""
	}
	name := sqlparse.Strings(ref.Fields)
	if _, at := c.q.scope.lookup(ref); len(name) != 1 || at == c.q.scope {
		return ""
	}
	return name[0]
}

// outputExpr is the expression of an output column; nil where there is none.
func (c *combiner) outputExpr(i int) sqlparse.Node {
	switch {
	case i < 0 || i >= len(c.q.out):
		return nil
	case c.q.out[i].expr != nil:
		return c.q.out[i].expr
	}
	return c.nodeOf(c.q.out[i])
}

// group makes one expression a group.
func (c *combiner) group(n sqlparse.Node) {
	if n == nil || !c.rows && !c.partial(n) {
		c.bad = true
		return
	}
	if c.rows {
		c.groups[c.key(n, c.q.scope)] = -1
		return
	}
	c.groups[c.key(n, c.q.scope)] = c.column(n, c.q.scope)
}

// distinctGroups makes every output of a SELECT DISTINCT a group.
func (c *combiner) distinctGroups(final *sqlparse.SelectStmt) {
	if c.rows {
		return
	}
	for _, n := range final.TargetList {
		c.group(n.GetResTarget().Val)
	}
}

// groupItem rewrites a GROUP BY item over the partial rows; positions and names of outputs stay.
func (c *combiner) groupItem(n sqlparse.Node, over rewriter) sqlparse.Node {
	switch {
	case n.GetAConst() != nil, c.outputName(n) != "":
		return n
	case n.GetGroupingSet() != nil:
		for i, item := range n.GetGroupingSet().Content {
			n.GetGroupingSet().Content[i] = c.groupItem(item, over)
		}
		return n
	case implicitRow(n) != nil:
		for i, item := range n.GetRowExpr().Args {
			n.GetRowExpr().Args[i] = c.groupItem(item, over)
		}
		return n
	}
	return sqlparse.Rewrite(n, over)
}

// partial reports whether backends may compute an expression for the final statement: its value is the row's own, and its
// type is what PostgreSQL describes it as, not a domain or a record.
func (c *combiner) partial(n sqlparse.Node) bool {
	if n.GetColumnRef() != nil {
		_, at := c.q.scope.lookup(n.GetColumnRef())
		return at == c.q.scope
	}
	ok := true
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetSubLink() != nil, n.GetSelectStmt() != nil, n.GetRowExpr() != nil, n.GetSqlvalueFunction() != nil, n.GetAIndirection() != nil:
			ok = false
		case n.GetColumnRef() != nil:
			ref := n.GetColumnRef()
			id, at := c.q.scope.lookup(ref)
			if o := c.a.origin(id); o.r != nil && o.r.table.Columns[o.i].TypeOID >= firstUserOID {
				ok = false
			}
			ok = ok && at == c.q.scope && !hasStar(ref.Fields)
		case n.GetFuncCall() != nil:
			f := n.GetFuncCall()
			name := sqlparse.Strings(f.Funcname)
			facts := c.a.callFacts(f)
			ok = ok && len(c.a.env.Schema.Functions[name[len(name)-1]]) == 0 && facts&(fnImpure|fnAggregate|fnWindow|fnSRF) == 0 && f.Over == nil
		case n.GetTypeCast() != nil:
			ok = ok && partName(n.GetTypeCast().TypeName)
		}
		return ok
	})
	return ok
}

// partName reports whether a type's name is a built-in type's whose values travel.
func partName(t *sqlparse.TypeName) bool {
	names := sqlparse.Strings(t.GetNames())
	if len(names) == 2 && names[0] == "pg_catalog" {
		names = names[1:]
	}
	return len(names) == 1 && partTypeNames[names[0]] && !t.Setof && !t.PctType
}
