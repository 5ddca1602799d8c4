package router

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// sortItem is the SQL of a sort key, its tree (nil for a column of a star) and the column that it is, if any.
type sortItem struct {
	sql  string
	node sqlparse.Node
	id   colID
}

// hidden appends the sort keys to the target list.
func (p *planner) hidden(a *analysis, q *query, c *clauses, out *Scatter) *pgerr.Error {
	items, targets := c.split(c.order), c.split(c.targets)
	plain := len(q.arms) == 0 && c.table.End == 0
	if len(items) != len(q.sel.SortClause) || plain && len(targets) != len(q.sel.TargetList) {
		return refSortShape
	}
	var cols []string
	for i, n := range q.sel.SortClause {
		sb := n.GetSortBy()
		key, ok := sortDirection(sb)
		if !ok {
			return refSortOperator
		}
		fields, err := p.sortFields(a, q, sb, items[i], targets, &key)
		if err != nil {
			return err
		}
		for _, f := range fields {
			for _, k := range a.sortKeys(q, f, key) {
				p.env.NoMerge = p.env.NoMerge || k.Form == SortRank && p.env.Schema.Unranked[a.baseType(f.id, 0)]
				out.Sort = append(out.Sort, k)
				cols = append(cols, k.Form.column(f.sql)+" AS pleiad_sort_"+itoa(len(out.Sort)))
			}
		}
	}
	out.Splices = append(out.Splices, p.hide(q, c, strings.Join(cols, ", "))...)
	return nil
}

// hide puts the hidden columns where they belong. A set operation becomes a subquery.
func (p *planner) hide(q *query, c *clauses, cols string) []Splice {
	switch {
	case len(q.arms) > 0:
		start := c.toks[0].Start
		return []Splice{
			{Start: start, End: start, With: "SELECT " + setAlias + ".*, " + cols + " FROM ("},
			{Start: c.orderWord, End: c.orderWord, With: ") AS " + setAlias + " "},
		}
	case c.table.End > 0:
		return []Splice{{Start: c.table.Start, End: c.table.End, With: "SELECT *, " + cols + " FROM"}}
	case c.targets.Start < c.targets.End:
		cols = ", " + cols
	default:
		cols = " " + cols
	}
	at := c.targets.End
	if at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[at]) < 0 {
		cols += " " // SELECT*FROM
	}
	return []Splice{{Start: at, End: at, With: cols}}
}

// setAlias names a set operation whose rows are sorted.
const setAlias = "pleiad_set"

// column is the SQL of a hidden column. pg_collation_for wants a type that has collations; an explicit cast to text
// keeps the collation of one that has. The type of a value that is no enum is told apart by a negative rank, of NULL as well: no
// row may have gone to the client before that is known.
func (f SortForm) column(expr string) string {
	switch f {
	case SortCollated:
		return "ROW(pg_catalog.pg_collation_for((" + expr + ")::pg_catalog.text), (" + expr + "))"
	case SortRank:
		return "(SELECT CASE WHEN pleiad_t.typtype = 'e' THEN (SELECT pg_catalog.count(*) FROM pg_catalog.pg_enum pleiad_e, pg_catalog.pg_enum pleiad_f " +
			"WHERE pleiad_e.enumtypid = pleiad_t.oid AND pleiad_e.enumlabel = (" + expr + ")::pg_catalog.text " +
			"AND pleiad_f.enumtypid = pleiad_t.oid AND pleiad_f.enumsortorder < pleiad_e.enumsortorder) " +
			"WHEN pleiad_t.typtype = 'd' AND pleiad_t.typbasetype < 16384 THEN -1 ELSE -2 END " +
			"FROM pg_catalog.pg_type pleiad_t WHERE pleiad_t.oid = pg_catalog.pg_typeof(" + expr + ")::pg_catalog.oid " +
			"AND (pleiad_t.typtype <> 'e' OR pg_catalog.num_nulls(" + expr + ") = 0))"
	}
	return "(" + expr + ")"
}

// sortKeys makes the keys of one value: where the text does not tell a collation, and the value may have one, the server
// says it; a column of a user's type may be an enum, whose order is that of its ranks.
func (a *analysis) sortKeys(q *query, f sortItem, key SortKey) []SortKey {
	key.Expr, key.Collation = f.sql, a.collationOf(f.node, f.id, q.scope)
	typ := a.baseType(f.id, 0)
	switch {
	case key.Collation != "" || a.env.operatorShadowed(): // shadowed: names of collations and operators may mean others
	case typ >= firstUserOID && f.id.r.sub == nil && !q.grouped && !q.aggregates:
		value, rank := key, key
		value.Form, rank.Form = SortRanked, SortRank
		return []SortKey{value, rank}
	case typ == 0 || typ < firstUserOID && collatable(typ):
		key.Form = SortCollated
	}
	return []SortKey{key}
}

// sortFields is the sort key of an ORDER BY item, or those of the fields of a row: rows compare field by field, and a
// NULL field is greater than every other (record_cmp).
func (p *planner) sortFields(a *analysis, q *query, sb *sqlparse.SortBy, item []sqlparse.Token, targets [][]sqlparse.Token, key *SortKey) ([]sortItem, *pgerr.Error) {
	row := sb.Node.GetRowExpr()
	if len(q.arms) > 0 {
		f, err := p.setItem(a, q, sb)
		return []sortItem{f}, err
	}
	if row == nil {
		f, err := p.sortExpr(a, q, sb, item, targets)
		return []sortItem{f}, err
	}
	body := sortBody(sb, item)
	if len(body) > 0 && body[0].Word == "row" {
		body = body[1:]
	}
	if len(body) < 2 || body[0].Punct != '(' || body[len(body)-1].Punct != ')' {
		return nil, refSortShape
	}
	inner := clauses{toks: body, depth: body[0].Depth + 1}
	fields := inner.split(Span{body[0].End, body[len(body)-1].Start})
	if len(fields) != len(row.Args) {
		return nil, refSortShape
	}
	key.NullsFirst = key.Desc
	var out []sortItem
	for i, n := range row.Args {
		ref := n.GetColumnRef()
		switch {
		case a.volatileExpr(n):
			return nil, refSortVolatile
		case n.GetRowExpr() != nil, ref != nil && hasStar(ref.Fields), n.GetAIndirection() != nil, len(fields[i]) == 0:
			return nil, refSortShape
		}
		out = append(out, sortItem{p.span(rangeOf(fields[i])), n, a.column(n, q.scope)})
	}
	return out, nil
}

// setItem is an ORDER BY item of a set operation: an output column, by its name or position.
func (p *planner) setItem(a *analysis, q *query, sb *sqlparse.SortBy) (f sortItem, err *pgerr.Error) {
	at := -1
	ref := sb.Node.GetColumnRef()
	for i, o := range q.out {
		if ref != nil && len(ref.Fields) == 1 && strings.Join(sqlparse.Strings(ref.Fields), "") == o.name {
			at = i
		}
	}
	if c := sb.Node.GetAConst(); c != nil && c.GetIval() != nil {
		at = int(c.GetIval().Ival) - 1
	}
	if q.open || at < 0 || at >= len(q.out) || q.out[at].name == "?" {
		return f, refSortShape
	}
	for i, o := range q.out {
		if i != at && (o.name == q.out[at].name || o.name == "?") {
			return f, refSortShape
		}
	}
	// The column is that of a relation of its own, as a subquery's would be.
	return sortItem{setAlias + "." + quoteIdent(q.out[at].name), nil, colID{&rel{sub: q, level: q}, at}}, nil
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
func (p *planner) sortExpr(a *analysis, q *query, sb *sqlparse.SortBy, item []sqlparse.Token, targets [][]sqlparse.Token) (sortItem, *pgerr.Error) {
	out := -1
	if c := sb.Node.GetAConst(); c != nil {
		if c.GetIval() == nil || q.open {
			return sortItem{}, refSortShape
		}
		out = int(c.GetIval().Ival) - 1
		if out < 0 || out >= len(q.out) {
			return sortItem{}, refSortShape
		}
	} else if ref := sb.Node.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := sqlparse.Strings(ref.Fields)
		for i, o := range q.out {
			if len(name) == 1 && o.name == name[0] {
				if out >= 0 && (o.id.r == nil || o.id != q.out[out].id) {
					return sortItem{}, refSortShape
				}
				out = i
			}
		}
		if out < 0 && q.open {
			return sortItem{}, refSortShape
		}
	}
	if out < 0 {
		if a.volatileExpr(sb.Node) {
			return sortItem{}, refSortVolatile
		}
		return sortItem{p.span(rangeOf(sortBody(sb, item))), sb.Node, a.column(sb.Node, q.scope)}, nil
	}
	o := q.out[out]
	if o.expr == nil {
		name, ok := q.nameOf(o)
		if !ok {
			return sortItem{}, refSortShape
		}
		return sortItem{name, nil, o.id}, nil
	}
	if a.volatileExpr(o.expr) {
		return sortItem{}, refSortVolatile
	}
	toks := targets[o.target]
	if q.sel.TargetList[o.target].GetResTarget().Name != "" {
		toks = withoutAlias(toks)
	}
	s := rangeOf(toks)
	if p.hasLiterals(s) {
		p.t.Cacheable = false // the copy holds this text's literals
	}
	return sortItem{p.span(s), o.expr, o.id}, nil
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

// withoutAlias drops [AS] name from the end of a target.
func withoutAlias(toks []sqlparse.Token) []sqlparse.Token {
	toks = toks[:len(toks)-1]
	if n := len(toks); n > 1 && toks[n-1].Word == "as" {
		toks = toks[:n-1]
	}
	return toks
}
