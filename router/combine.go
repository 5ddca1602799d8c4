package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Names of the combined statement's own, which no text of a client's may contain.
const (
	partPrefix = "pleiad_part" // with a letter behind: columns (c), aggregates (a); the target list (t)
	partRows   = partPrefix + "_rows"
	partAlias  = partPrefix + "s"
)

// combiner plans one query level whose rows each backend has a part of, by substitution: what the backends compute
// becomes a column of the partial rows, and the rest of the query stays as it is, over those. PostgreSQL checks the
// client's own text before, so what it accepts is known to be well formed: an ungrouped column, say, follows from a
// primary key.
type combiner struct {
	p *planner
	a *analysis
	q *query
	d *distributor
	s spread
	// rows is true where rows travel one by one: some aggregate does not follow from partial ones, or there are
	// windows over plain rows. Else aggregates are computed in part.
	rows bool
	// grouping is true if the level groups; then a column outside of aggregates must be one of groups.
	grouping bool
	groups   map[string]int // key of a GROUP BY expression (or of a DISTINCT's output) → column; -1 with rows
	columns  []PartColumn
	byKey    map[string]int
	aggs     []PartAggregate
	// dependent are columns that follow from a primary key among the groups: they are grouped by as well.
	dependent []int
	sublinks  map[int32]*sublink
	finalSubs bool // a subquery stays in the final statement
	bad       bool
}

// combine plans a level that cannot be distributed as a whole, but whose FROM and WHERE can. nil means that it is not
// proved.
func (p *planner) combine(a *analysis, q *query) *Scatter {
	sel := q.sel
	switch {
	case sel == nil || q.dml || q.recursive || q.open || len(q.arms) > 0 || len(sel.ValuesLists) > 0,
		len(sel.LockingClause) > 0 || q.sample || sel.IntoClause != nil || len(sel.TargetList) == 0,
		strings.Contains(strings.ToLower(p.text), partPrefix), a.env.operatorShadowed():
		return nil
	}
	d := a.distributor()
	s, err := d.from(q)
	if err != nil || !s.sharded {
		return nil
	}
	sorted, clock := false, false
	for _, r := range q.rels {
		if r.sub != nil {
			r.sub.walk(func(q *query) {
				sorted = sorted || q.sel != nil && len(q.sel.SortClause) > 0
				clock = clock || q.targetFacts&fnClock != 0
			})
		}
	}
	if clock {
		return nil
	}
	grouping := q.grouped || q.aggregates
	distinct := len(sel.DistinctClause) > 0 && !isDistinctOn(sel) && !grouping && len(q.windows) == 0
	for _, rows := range []bool{false, true} {
		c := &combiner{
			p: p, a: a, q: q, d: d, s: s, rows: rows, grouping: grouping,
			groups: map[string]int{}, byKey: map[string]int{}, sublinks: map[int32]*sublink{},
		}
		if !rows && (!grouping && !distinct || q.targetFacts&fnSRF != 0) || rows && sorted {
			continue // the order of a subquery's rows would be lost to aggregates
		}
		c.findSublinks()
		if out := c.plan(distinct); out != nil {
			p.t.Cacheable = p.t.Cacheable && len(p.lits) == 0
			return &Scatter{Combine: out}
		}
	}
	return nil
}

// findSublinks lists the level's subqueries by their places; what reads WHERE and FROM must be proved beside the rows.
func (c *combiner) findSublinks() {
	for sl, s := range c.a.sublinks {
		if slices.Contains(c.q.subs, s) {
			c.sublinks[sl.Location] = s
		}
	}
	below := func(n sqlparse.Node) bool {
		if sl := n.GetSubLink(); sl != nil {
			c.beside(sl)
		}
		return n.GetSelectStmt() == nil
	}
	sqlparse.Walk(c.q.sel.WhereClause, below)
	for _, n := range c.q.sel.FromClause {
		sqlparse.Walk(n, below)
	}
	c.bad = c.bad || len(c.sublinks) != len(c.q.subs)
}

// beside proves a subquery that is evaluated on a row's own backend.
func (c *combiner) beside(sl *sqlparse.SubLink) {
	sub := c.sublinks[sl.Location]
	if sub == nil {
		c.bad = true
		return
	}
	s, err := c.d.within(c.s.keys).level(sub.q, false)
	c.bad = c.bad || err != nil || s.sharded
}

// plan makes the partial and the final statement.
func (c *combiner) plan(distinct bool) *Combine {
	final := sqlparse.Clone(sqlparse.SelectNode(c.q.sel)).GetSelectStmt()
	names, ok := c.expand(final)
	if !ok || c.bad {
		return nil
	}
	if distinct {
		c.distinctGroups(final)
	} else {
		c.groupItems(final.GroupClause)
	}
	c.finish(final, names)
	if c.bad {
		return nil
	}
	out := &Combine{Aggregates: c.aggs, Reads: c.finalSubs}
	switch {
	case len(c.columns) == 0 && c.rows:
		c.columns = []PartColumn{{SQL: "true"}} // how many rows there are is what counts
	case len(c.columns) == 0 && len(c.aggs) == 0:
		c.columns = []PartColumn{{SQL: "pg_catalog.count(*)"}} // HAVING alone: one group
	case !c.rows && len(c.columns) > 0:
		out.Grouped, out.Groups = true, len(c.columns)
	}
	out.Columns = c.columns
	part := sqlparse.Clone(sqlparse.SelectNode(c.q.sel)).GetSelectStmt()
	part.TargetList = []sqlparse.Node{sqlparse.TargetNode("", sqlparse.ColumnNode(partPrefix+"_t"))}
	part.GroupClause, part.HavingClause, part.WindowClause, part.SortClause, part.DistinctClause = nil, nil, nil, nil, nil
	part.LimitCount, part.LimitOffset, part.GroupDistinct, part.LimitOption = nil, nil, false, sqlparse.LimitDefault
	text, ok := sqlparse.Written(sqlparse.SelectNode(part))
	if !ok {
		return nil
	}
	out.Head, out.Tail, ok = strings.Cut(text, partPrefix+"_t")
	if !ok || !c.pieces(out, final) {
		return nil
	}
	return out
}

// expand replaces the stars of the target list, and names every output, which ORDER BY may refer to.
func (c *combiner) expand(final *sqlparse.SelectStmt) (names []string, ok bool) {
	var out []sqlparse.Node
	for i, n := range final.TargetList {
		rt := n.GetResTarget()
		if rt.GetVal() == nil || len(rt.Indirection) > 0 {
			return nil, false
		}
		if ref := rt.Val.GetColumnRef(); ref != nil && hasStar(ref.Fields) {
			for _, o := range c.q.out {
				if o.target != i {
					continue
				}
				col := c.nodeOf(o)
				if col == nil {
					return nil, false
				}
				out = append(out, sqlparse.TargetNode(o.name, col))
				names = append(names, o.name)
			}
			continue
		}
		name := rt.Name
		if name == "" {
			name, _, ok = figureName(rt.Val)
			if !ok {
				name = "" // of no use to ORDER BY: see output
			}
		}
		rt.Name = name
		out = append(out, n)
		names = append(names, name)
	}
	final.TargetList = out
	return names, len(names) == len(c.q.out)
}

// nodeOf names an input column that a star stands for.
func (c *combiner) nodeOf(o outCol) sqlparse.Node {
	ns := c.q.scope.ns
	if id, ok, _ := ns.unqualified(o.name); ok && id == o.id {
		return sqlparse.ColumnNode(o.name)
	}
	for _, it := range ns.items {
		id, ok, _ := ns.qualified([]string{it.name}, o.name)
		if ok && id == o.id && id.r != nil {
			return sqlparse.ColumnNode(it.name, o.name)
		}
	}
	return nil
}

// finish turns the client's statement into one over the partial rows.
func (c *combiner) finish(final *sqlparse.SelectStmt, names []string) {
	over := c.over(c.q.scope, false)
	for _, n := range final.TargetList {
		rt := n.GetResTarget()
		rt.Val = sqlparse.Rewrite(rt.Val, over)
	}
	if isDistinctOn(final) {
		for i, n := range final.DistinctClause {
			final.DistinctClause[i] = c.outputOr(n, names, over)
		}
	}
	for i, n := range final.GroupClause {
		final.GroupClause[i] = c.groupItem(n, over)
	}
	final.HavingClause = sqlparse.Rewrite(final.HavingClause, over)
	sqlparse.RewriteList(final.WindowClause, over)
	for _, n := range final.SortClause {
		sb := n.GetSortBy()
		sb.Node = c.outputOr(sb.Node, names, over)
	}
	final.LimitCount, final.LimitOffset = countOver(final.LimitCount, over), countOver(final.LimitOffset, over)
	for _, col := range c.dependent {
		final.GroupClause = append(final.GroupClause, partNode(col))
	}
	if len(c.dependent) > 0 && (len(c.q.sel.GroupClause) == 0 || c.q.groupingSets) {
		c.bad = true
	}
	final.FromClause, final.WhereClause = []sqlparse.Node{sqlparse.TableNode(partRows, partAlias)}, nil
	if !c.finalSubs {
		final.WithClause = nil
	}
}

// countOver is LIMIT's or OFFSET's value: only a subquery of it can need the partial rows. A number that is also an output
// must stay a number.
func countOver(n sqlparse.Node, over rewriter) sqlparse.Node {
	subquery := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		subquery = subquery || n.GetSubLink() != nil
		return !subquery
	})
	if !subquery {
		return n
	}
	return sqlparse.Rewrite(n, over)
}

// outputOr leaves an ORDER BY or DISTINCT ON item that names an output column by its name or position.
func (c *combiner) outputOr(n sqlparse.Node, names []string, over rewriter) sqlparse.Node {
	if n.GetAConst() != nil {
		return n
	}
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := sqlparse.Strings(ref.Fields)
		switch {
		case len(name) == 1 && slices.Contains(names, name[0]):
			return n
		case slices.Contains(names, ""):
			c.bad = true // it may be the name of that output
		}
	}
	return sqlparse.Rewrite(n, over)
}

// pieces cuts the final statement at its placeholders.
func (c *combiner) pieces(out *Combine, final *sqlparse.SelectStmt) bool {
	text, ok := sqlparse.Written(sqlparse.SelectNode(final))
	if !ok {
		return false
	}
	rows := partRows + " " + partAlias
	if strings.Count(text, rows) != 1 {
		return false
	}
	for text != "" {
		at := strings.Index(text, partPrefix+"_a")
		if r := strings.Index(text, rows); r >= 0 && (at < 0 || r < at) {
			out.Final = append(out.Final, FinalPiece{Text: text[:r]}, FinalPiece{Rows: true})
			text = text[r+len(rows):]
			continue
		}
		if at < 0 {
			out.Final = append(out.Final, FinalPiece{Text: text})
			break
		}
		n, end := 0, at+len(partPrefix+"_a")
		for ; end < len(text) && text[end] >= '0' && text[end] <= '9'; end++ {
			n = 10*n + int(text[end]-'0')
		}
		rest, ok := strings.CutPrefix(text[end:], "()")
		if !ok || n >= len(c.aggs) {
			return false
		}
		if at > 0 {
			out.Final = append(out.Final, FinalPiece{Text: text[:at]})
		}
		out.Final = append(out.Final, FinalPiece{Aggregate: n})
		text = rest
	}
	return true
}

// ErrUnsteady refuses a query whose partial rows would not travel exactly under the session's settings.
var ErrUnsteady = pgerr.New(pgerr.FeatureNotSupported, "combining values of this type over several backends is not supported with these settings").
	WithHint("Set DateStyle to ISO, IntervalStyle to postgres, and extra_float_digits to 1.")

func errUncombined(what string) *pgerr.Error {
	return pgerr.New(pgerr.FeatureNotSupported, "combining %s over several backends is not supported", what).
		WithHint("Restrict every sharded table to one value of its partition key, or cast to text.")
}
