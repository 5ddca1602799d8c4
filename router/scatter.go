package router

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// scatterSelect plans a SELECT over several backends, or says why that is not proved.
func (p *planner) scatterSelect(a *analysis, q *query) (*Scatter, *pgerr.Error) {
	if err := a.several(q); err != nil {
		return nil, err
	}
	d := a.distributor()
	combine := a.combinable(q)
	if combine != nil {
		d.combines = q
	}
	s, err := d.level(q, true)
	if err != nil {
		return nil, err
	}
	if !s.sharded {
		return nil, refSubquery
	}
	if q.targetClock() {
		return nil, refClock
	}
	if combine != nil {
		return &Scatter{Combine: combine}, nil
	}
	return p.merge(a, q)
}

// several checks what forbids running on several backends whatever the query's shape.
func (a *analysis) several(q *query) *pgerr.Error {
	outer := false
	q.walk(func(q *query) { outer = outer || q.outerAggregate })
	switch {
	case a.noScatter != nil:
		return a.noScatter
	case outer:
		return refAggregate
	case a.tableOID:
		return refTableOID
	case a.fn&fnUnknown != 0:
		return refUnknownFunc
	case a.fn&(fnVolatile|fnServer|fnHome|fnNextval|fnCurrval|fnDynamic|fnPins) != 0:
		return refVolatile
	}
	return nil
}

// targetClock reports whether the transaction's time is among the query's outputs.
func (q *query) targetClock() bool {
	found := false
	q.walk(func(q *query) { found = found || q.targetFacts&fnClock != 0 })
	return found
}

// merge plans ORDER BY, LIMIT and OFFSET.
func (p *planner) merge(a *analysis, q *query) (*Scatter, *pgerr.Error) {
	out := &Scatter{}
	s := q.sel
	if s.LimitOption == sqlparse.LimitWithTies {
		return nil, refWithTies
	}
	var ok1, ok2 bool
	out.Limit, ok1 = a.count(s.LimitCount)
	out.Offset, ok2 = a.count(s.LimitOffset)
	if !ok1 || !ok2 {
		return nil, refLimitExpr
	}
	if len(s.SortClause) == 0 && s.LimitCount == nil && s.LimitOffset == nil {
		return out, nil
	}
	c, ok := selectClauses(p.text, p.from)
	if !ok {
		return nil, refSortShape
	}
	if len(s.SortClause) > 0 {
		if err := p.hidden(a, q, &c, out); err != nil {
			return nil, err
		}
	}
	if s.LimitCount != nil || s.LimitOffset != nil {
		if c.limit.End == 0 {
			return nil, refLimitExpr
		}
		out.Splices = append(out.Splices, Splice{Start: c.limit.Start, End: c.limit.End, Limit: true})
	}
	return out, nil
}

var integerNames = map[uint32]string{
	shardmap.Int2OID: "pg_catalog.int2", shardmap.Int4OID: "pg_catalog.int4", shardmap.Int8OID: "pg_catalog.int8",
}

// count reads LIMIT's or OFFSET's value.
func (a *analysis) count(n sqlparse.Node) (CountValue, bool) {
	if n == nil {
		return CountValue{}, true
	}
	v, ok := a.constant(n)
	if !ok {
		return CountValue{}, false
	}
	c := CountValue{Present: true, Source: v.Source, Index: v.Index, Cast: n.GetTypeCast() != nil}
	switch v.Source {
	case SourceNull:
		return CountValue{}, true
	case SourceParam:
		if c.Cast {
			c.CastTo = integerNames[v.TypeOID]
		}
		return c, v.TypeOID == 0 || isIntegerOID(v.TypeOID)
	case SourceConst:
		i, err := parseCount(v.Const)
		c.Const = i
		return c, err == nil && isIntegerOID(v.TypeOID)
	}
	return c, isIntegerOID(v.TypeOID) && !v.Negated
}

// hidden appends the sort keys to the target list.
func (p *planner) hidden(a *analysis, q *query, c *clauses, out *Scatter) *pgerr.Error {
	items, targets := c.split(c.order), c.split(c.targets)
	if len(items) != len(q.sel.SortClause) || len(targets) != len(q.sel.TargetList) {
		return refSortShape
	}
	var cols []string
	for i, n := range q.sel.SortClause {
		sb := n.GetSortBy()
		key, ok := sortDirection(sb)
		if !ok {
			return refSortOperator
		}
		expr, id, err := p.sortExpr(a, q, sb, items[i], targets)
		if err != nil {
			return err
		}
		key.Expr = expr
		key.Collation = a.collationOf(sb.Node, id)
		out.Sort = append(out.Sort, key)
		cols = append(cols, "("+expr+") AS pleiad_sort_"+itoa(i+1))
	}
	with := strings.Join(cols, ", ")
	if len(targets) > 0 {
		with = ", " + with
	} else {
		with = " " + with
	}
	at := c.targets.End
	if at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[at]) < 0 {
		with += " " // SELECT*FROM
	}
	out.Splices = append(out.Splices, Splice{Start: at, End: at, With: with})
	return nil
}

// sortDirection reads ASC, DESC, USING and NULLS. Nulls come last when ascending unless said otherwise.
func sortDirection(sb *sqlparse.SortBy) (key SortKey, ok bool) {
	switch sb.SortbyDir {
	case sqlparse.SortDesc:
		key.Desc = true
	case sqlparse.SortUsing:
		op := sqlparse.Strings(sb.UseOp)
		if len(op) == 2 && op[0] == "pg_catalog" {
			op = op[1:]
		}
		if len(op) != 1 || op[0] != "<" && op[0] != ">" {
			return key, false
		}
		key.Desc = op[0] == ">"
	}
	switch sb.SortbyNulls {
	case sqlparse.NullsFirst:
		key.NullsFirst = true
	case sqlparse.NullsLast:
	default:
		key.NullsFirst = key.Desc
	}
	return key, true
}

// sortExpr gives the SQL of one ORDER BY item, which must mean the same in the target list. A bare name is an output
// column first (findTargetlistEntrySQL92), a number a position.
func (p *planner) sortExpr(a *analysis, q *query, sb *sqlparse.SortBy, item []sqlparse.Token, targets [][]sqlparse.Token) (string, colID, *pgerr.Error) {
	out := -1
	if c := sb.Node.GetAConst(); c != nil {
		if c.GetIval() == nil || q.open {
			return "", colID{}, refSortShape
		}
		out = int(c.GetIval().Ival) - 1
		if out < 0 || out >= len(q.out) {
			return "", colID{}, refSortShape
		}
	} else if ref := sb.Node.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := sqlparse.Strings(ref.Fields)
		for i, o := range q.out {
			if len(name) == 1 && o.name == name[0] {
				if out >= 0 && (o.id.r == nil || o.id != q.out[out].id) {
					return "", colID{}, refSortShape
				}
				out = i
			}
		}
		if out < 0 && q.open {
			return "", colID{}, refSortShape
		}
	}
	if out < 0 {
		if a.volatileExpr(sb.Node) {
			return "", colID{}, refSortVolatile
		}
		return p.span(rangeOf(sortBody(sb, item))), a.column(sb.Node, q.scope), nil
	}
	o := q.out[out]
	if o.expr == nil {
		name, ok := q.nameOf(o)
		if !ok {
			return "", colID{}, refSortShape
		}
		return name, o.id, nil
	}
	if a.volatileExpr(o.expr) {
		return "", colID{}, refSortVolatile
	}
	toks := targets[o.target]
	if q.sel.TargetList[o.target].GetResTarget().Name != "" {
		toks = toks[:len(toks)-1]
		if n := len(toks); n > 1 && toks[n-1].Word == "as" {
			toks = toks[:n-1]
		}
	}
	s := rangeOf(toks)
	if p.hasLiterals(s) {
		p.t.Cacheable = false // the copy holds this text's literals
	}
	return p.span(s), o.id, nil
}

// sortBody drops ASC, DESC, USING and NULLS from the end of an ORDER BY item.
func sortBody(sb *sqlparse.SortBy, item []sqlparse.Token) []sqlparse.Token {
	n := len(item)
	if sb.SortbyNulls != sqlparse.NullsDefault && n > 2 {
		n -= 2
	}
	switch sb.SortbyDir {
	case sqlparse.SortAsc, sqlparse.SortDesc:
		n--
	case sqlparse.SortUsing:
		for n > 0 && item[n-1].Word != "using" {
			n--
		}
		n--
	}
	return item[:max(n, 0)]
}

// nameOf writes an input column so that it can stand in the target list.
func (q *query) nameOf(o outCol) (string, bool) {
	ns := q.scope.ns
	if id, ok, _ := ns.unqualified(o.name); ok && id == o.id {
		return quoteIdent(o.name), true
	}
	for _, it := range ns.items {
		id, ok, _ := ns.qualified([]string{it.name}, o.name)
		if ok && id == o.id && id.r != nil {
			return quoteIdent(it.name) + "." + quoteIdent(o.name), true
		}
	}
	return "", false
}

// sortCollation is the collation of a sort expression where it shows: an explicit one, or a plain column's.
func sortCollation(n sqlparse.Node, id colID) string {
	if c := n.GetCollateClause(); c != nil {
		name := sqlparse.Strings(c.Collname)
		switch last := name[len(name)-1]; last {
		case "C", "POSIX", "default":
			return last
		default:
			for i := range name {
				name[i] = quoteIdent(name[i])
			}
			return strings.Join(name, ".")
		}
	}
	if id.r != nil && id.r.table != nil && id.i < len(id.r.table.Columns) {
		return id.r.table.Columns[id.i].Collation
	}
	return ""
}

// volatileExpr reports whether two evaluations of an expression on one row may differ.
func (a *analysis) volatileExpr(n sqlparse.Node) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if f := n.GetFuncCall(); f != nil {
			name := sqlparse.Strings(f.Funcname)
			facts := fnUnknown
			switch len(name) {
			case 1:
				facts = a.env.functionFacts("", name[0])
			case 2:
				facts = a.env.functionFacts(name[0], name[1])
			}
			found = found || facts&(fnPerRow|fnVolatile|fnUserVol|fnUnknown|fnNextval|fnHome|fnPins) != 0
		}
		return !found
	})
	return found
}
