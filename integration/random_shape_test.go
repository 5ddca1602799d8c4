package integration

import (
	"fmt"
	"strings"
)

// sortKey is an expression of a kind as a sort key.
func (g *author) sortKey(k kind, ref string) string {
	if (k == kText || k == kNatural) && g.in(25) {
		ref += g.pick(` collate "C"`, ` collate "en-x-icu"`)
	}
	return ref + g.pick("", "", " desc", " nulls first", " desc nulls last", " using <", " using >")
}

// number is one that may be a parameter, of LIMIT for example.
func (g *author) number(most int) string {
	text := fmt.Sprint(g.below(most))
	if g.binds && g.in(40) {
		return g.parameter(text, fmt.Sprint(g.below(most)))
	}
	return text
}

// page cuts rows that are ordered fully.
func (g *author) page() string {
	switch g.below(5) {
	case 0:
		return ""
	case 1:
		return " limit " + g.number(9)
	case 2:
		return " offset " + g.number(4) + " limit " + g.number(9)
	case 3:
		return " fetch first " + g.number(5) + " rows only"
	default:
		return g.limit()
	}
}

// flat is a SELECT with an ORDER BY of its own level, by expressions that need not be in its list.
func (g *author) flat() string {
	sc, from := g.from(nil, g.below(2))
	rest := from + g.where(sc, 1+g.below(2))
	if g.in(35) {
		return g.flatGroups(sc, rest)
	}
	var cols, keys []string
	list := g.kinds(3)
	for _, k := range list {
		c := g.expr(sc, k, 1)
		cols = append(cols, c)
		if g.in(30) && namesColumn(c) && !strings.Contains(c, "$") {
			keys = append(keys, g.sortKey(k, c))
		}
	}
	if row := g.row(sc); row != "" && g.in(15) {
		cols = append(cols, g.pick(row+".*", row))
	}
	for range g.below(3) {
		k := kind(g.below(int(kinds)))
		if c := g.expr(sc, k, 1); namesColumn(c) {
			keys = append(keys, g.sortKey(k, c))
		}
	}
	return "select " + strings.Join(cols, ", ") + rest + g.order(sc, keys...) + g.page()
}

// flatGroups sorts groups by aggregates and by what it groups by.
func (g *author) flatGroups(sc *scope, rest string) string {
	here := &scope{relations: sc.relations}
	var cols, groups, keys []string
	for i, k := range g.kinds(3) {
		c := g.columnOr(here, k)
		if k == kText && g.in(40) {
			c = "(" + g.columnOr(here, kJSON) + ` ->> 'a') collate "C"`
		}
		if k == kInt && g.in(30) {
			c = "(" + c + " % 3)"
		}
		if !namesColumn(c) || strings.Contains(c, "$") {
			continue
		}
		cols, groups = append(cols, c), append(groups, c)
		if g.in(20) {
			cols[len(cols)-1] += fmt.Sprint(" as g", i)
		}
	}
	for range g.below(3) {
		cols = append(cols, g.aggregate(sc, kind(g.below(int(kinds))), 1))
	}
	if len(groups) == 0 {
		return "select count(*), " + g.aggregate(sc, kInt, 1) + rest
	}
	for range g.below(3) {
		k := kind(g.below(int(kinds)))
		keys = append(keys, g.sortKey(k, g.aggregate(sc, k, 1)))
	}
	sets := g.in(25)
	for _, c := range groups {
		if sets {
			// Before 18 PostgreSQL leaves out a key that WHERE makes one constant, though some sets have NULL there.
			c = "coalesce(" + c + ", " + c + ")"
		}
		keys = append(keys, c+g.pick("", " desc", " nulls first"))
	}
	by := strings.Join(groups, ", ")
	if sets {
		// Of several sets the same group may come twice: whatever tells them apart is a key too.
		by = g.pick("rollup (", "cube (", "grouping sets ((), (", "distinct rollup (") + by + ")"
		if strings.HasPrefix(by, "grouping") {
			by += ", (" + groups[len(groups)-1] + "))"
		}
		if strings.HasPrefix(by, "distinct") {
			by = "distinct rollup (" + strings.Join(groups, ", ") + "), " + groups[0]
		}
		cols = append(cols, "grouping("+strings.Join(groups, ", ")+")")
		for range groups {
			keys = append(keys, "grouping("+strings.Join(groups, ", ")+")")
		}
	}
	having := ""
	if g.in(25) {
		having = " having " + g.aggregate(sc, kInt, 1) + g.pick(" > ", " <= ", " is distinct from ") + g.literal(kInt)
	}
	return "select " + strings.Join(cols, ", ") + rest + " group by " + by + having + " order by " + strings.Join(keys, ", ") + g.page()
}

// framed is a window function of a kind, with a frame.
func (g *author) framed(sc *scope, k kind) string {
	here := &scope{relations: sc.relations}
	partition := ""
	if g.in(50) {
		partition = "partition by " + g.columnOr(here, kind(g.below(int(kinds))))
		if r := here.relations[0]; r.key != nil && g.in(40) {
			partition += ", " + r.key.ref
		}
	}
	exclude := g.pick("", "", " exclude current row", " exclude group", " exclude ties", " exclude no others")
	over := func(order, frame string) string { return " over (" + partition + order + frame + exclude + ")" }
	filter := ""
	if g.in(15) {
		filter = " filter (where " + g.condition(here, 0) + ")"
	}
	total := func() string { return over(g.orderAll(sc), " rows "+g.bounds("1", "2")) }
	if g.in(40) || k == kJSON || k == kUUID || k == kPoint || k == kBool {
		switch {
		case k == kInt && g.in(40):
			return "(count(*)" + filter + total() + ")::int"
		case k == kJSON:
			return "jsonb_agg(" + g.columnOr(here, kInt) + ")" + filter + total()
		case k == kBool:
			return "bool_or(" + g.columnOr(here, kBool) + ")" + filter + total()
		}
		return "nth_value(" + g.columnOr(here, k) + ", 2)" + total()
	}
	window := ""
	switch by := []kind{kInt, kNumeric, kDate, kStamp, kFloat}[g.below(5)]; {
	case g.in(40):
		window = over(" order by "+g.columnOr(here, kind(g.below(int(kinds))))+g.pick("", " desc")+", "+g.columnOr(here, by), " groups "+g.bounds("1", "2"))
	case by == kDate || by == kStamp:
		window = over(" order by "+g.columnOr(here, by)+g.pick("", " desc"), " range "+g.bounds("interval '1 day'", "interval '3 hours'"))
	default:
		window = over(" order by "+g.columnOr(here, by)+g.pick("", " desc", " nulls first"), " range "+g.bounds("1", "2"))
	}
	switch k {
	case kInt:
		return "(" + g.pick("sum", "count") + "(" + g.columnOr(here, k) + ")" + filter + window + ")::int"
	case kNumeric, kFloat:
		return "sum(" + g.columnOr(here, k) + ")" + filter + window
	}
	return g.pick("min", "max") + "(" + g.columnOr(here, k) + ")" + filter + window
}

// bounds of a frame, whose offsets are these.
func (g *author) bounds(one, two string) string {
	return "between " + [...]string{
		"unbounded preceding and current row", one + " preceding and " + one + " following", two + " preceding and " + one + " preceding",
		"current row and unbounded following", one + " following and " + two + " following", "unbounded preceding and unbounded following",
		"current row and " + two + " following", "unbounded preceding and " + one + " preceding",
	}[g.below(8)]
}

// recursive is a query of WITH RECURSIVE: three levels at most.
func (g *author) recursive() string {
	c := cte{g.alias("rec"), []kind{kInt, kInt, kText}}
	sc, from := g.from(nil, 0)
	start := "select " + g.expr(sc, kInt, 0) + ", 0, (" + g.expr(sc, kText, 0) + `) collate "C"` + from + g.where(sc, 1)
	next, item := g.table()
	step := &scope{relations: []*relation{next}}
	join := g.pick(" join ", " join ", " left join ")
	on := g.columnOr(step, kInt) + " = " + c.name + ".c0" + g.pick("", " % 5", " + 1")
	text := c.name + join + item + " on " + on
	if join == " join " && g.in(40) {
		text = item + join + c.name + " on " + on
	}
	recurring := "select " + g.expr(step, kInt, 0) + ", " + c.name + ".c1 + 1, (" + c.name + ".c2 || coalesce(" + g.expr(step, kText, 0) + `, '-')) collate "C" from ` + text +
		" where " + c.name + ".c1 < " + g.pick("1", "2") + map[bool]string{true: " and " + g.condition(step, 0)}[g.in(30)]
	g.ctes = append(g.ctes, c)
	return named(c.name, 3) + " as (" + start + g.pick(" union all ", " union ") + recurring + ")"
}

// tied keeps all the rows that tie with the last one, which determines a set of them.
func (g *author) tied(sc *scope, rest string, list []kind, depth int) string {
	var cols, keys []string
	for i, k := range list {
		cols = append(cols, g.expr(sc, k, depth-1))
		if i == 0 || g.in(40) {
			keys = append(keys, fmt.Sprint(i+1)+g.pick("", " desc", " nulls first"))
		}
	}
	return "(select " + strings.Join(cols, ", ") + rest + " order by " + strings.Join(keys, ", ") + " fetch first " + g.number(4) + " rows with ties)"
}
