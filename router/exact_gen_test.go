package router

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// sqlGen writes random SELECTs over exactTables: valid ones for the most part, and of shapes that tempt a planner.
type sqlGen struct {
	r     *rand.Rand
	alias int
}

// item is something in FROM with its columns.
type item struct {
	alias string
	cols  []string
}

func (g *sqlGen) pick(list ...string) string { return list[g.r.IntN(len(list))] }
func (g *sqlGen) chance(n int) bool          { return g.r.IntN(n) == 0 }

func (g *sqlGen) name() string {
	g.alias++
	return fmt.Sprintf("t%d", g.alias)
}

// statement is a query; ordered is true when its rows' order is total.
func (g *sqlGen) statement() (text string, ordered bool) {
	g.alias = 0
	with := ""
	var ctes []item
	if g.chance(6) {
		body, n := g.query(1, nil, nil)
		c := item{g.name(), columns(n)}
		with = fmt.Sprintf("WITH %s(%s) AS (%s) ", c.alias, strings.Join(c.cols, ", "), body)
		ctes = append(ctes, c)
	}
	if g.chance(10) {
		l, n := g.query(1, nil, ctes)
		for range 20 {
			r, m := g.query(1, nil, ctes)
			if n != m {
				continue
			}
			text = with + l + g.pick(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ", " EXCEPT ALL ") + r
			if g.chance(2) {
				return g.ordered(text, n), true
			}
			return text, false
		}
	}
	body, n := g.query(2, nil, ctes)
	text = with + body
	switch {
	case g.chance(3):
		return g.ordered(text, n), true
	case n > 0 && g.chance(12):
		return text + " ORDER BY 1" + g.pick("", " DESC") + g.pick("", ", 1 NULLS FIRST") + " FETCH FIRST " + g.pick("1", "3", "5") + " ROWS WITH TIES", false
	case with == "" && g.chance(12):
		return g.ordered("("+g.pick(body, "("+body+")")+")", n), true
	case n > 1 && g.chance(12):
		a, cols := g.name(), columns(n)
		return fmt.Sprintf("%sSELECT * FROM (%s) %s(%s) ORDER BY %s(%s)%s", with, body, a, strings.Join(cols, ", "), g.pick("ROW", ""),
			strings.Join(cols, ", "), g.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST")+g.limit()), true
	case g.chance(20):
		return "TABLE s1 ORDER BY " + g.pick("1, 2, 3", "3 DESC, 1, 2", "w NULLS FIRST, (k, v)") + g.limit(), true
	}
	return text, false
}

// ordered sorts a query by all its columns.
func (g *sqlGen) ordered(text string, n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint(i+1)+g.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
	}
	g.r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return text + " ORDER BY " + strings.Join(keys, ", ") + g.limit()
}

func (g *sqlGen) limit() string {
	if g.chance(2) {
		return ""
	}
	return g.pick(" LIMIT 3", " LIMIT 4 OFFSET 2", " OFFSET 3", " LIMIT 0", " LIMIT 2 * 2 - 1", " OFFSET 1.5", " LIMIT ALL",
		" OFFSET 1 ROW FETCH NEXT 2 ROWS WITH TIES")
}

func columns(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("c%d", i))
	}
	return out
}

// query is a SELECT without ORDER BY, and its number of columns. outer are relations it may be correlated with.
func (g *sqlGen) query(depth int, outer, ctes []item) (string, int) {
	from, items := g.from(depth, outer, ctes)
	where := g.where(depth, items, outer, ctes)
	switch {
	case g.chance(7):
		c := g.column(items)
		cols := []string{c}
		if g.chance(2) {
			cols = append(cols, g.column(items))
		}
		having := ""
		if g.chance(3) {
			having = " HAVING count(*) > 1"
		}
		list := strings.Join(cols, ", ")
		return "SELECT " + list + ", " + g.pick("count(*)", "max("+g.column(items)+")") + from + where + " GROUP BY " + list + having, len(cols) + 1
	case g.chance(12):
		return "SELECT " + g.pick("count(*)", "sum("+g.column(items)+")", g.computed(items)) + from + where, 1
	}
	n := 1 + g.r.IntN(3)
	var cols []string
	for range n {
		cols = append(cols, g.target(depth, items, outer, ctes))
	}
	return "SELECT " + g.pick("", "", "", "DISTINCT ") + strings.Join(cols, ", ") + from + where, n
}

// computed is an expression over aggregates.
func (g *sqlGen) computed(items []item) string {
	c, d := g.column(items), g.column(items)
	return g.pick("avg("+c+")", "avg("+c+"::numeric / 7)", "avg("+c+"::int8) FILTER (WHERE "+d+" > 3)", "count(*) + 1", "max("+c+") - min("+d+")",
		"coalesce(sum("+c+"), 0)", "round(avg("+c+"), 2) || 'x' || count("+d+")", "CASE WHEN count(*) > 5 THEN -sum("+c+") ELSE 100 / count(*) END",
		"10 / nullif(count("+c+"), 0)", "sum("+c+" * 1.50)::text", "(avg("+c+" * 0.001))::numeric(9, 4)", "greatest(max("+c+"), count(*)) AS g")
}

func (g *sqlGen) target(depth int, items, outer, ctes []item) string {
	switch {
	case depth > 0 && g.chance(8):
		sub, sitems := g.from(0, nil, ctes)
		all := append(append([]item{}, items...), outer...)
		return "(SELECT " + g.pick("count(*)", "max("+g.column(sitems)+")") + sub + " WHERE " + g.correlate(sitems, all) + ")"
	case g.chance(8):
		return "rank() OVER (PARTITION BY " + g.column(items) + " ORDER BY " + g.column(items) + ")"
	case g.chance(8):
		return g.column(items) + " + 1"
	}
	return g.column(items)
}

func (g *sqlGen) correlate(inner, outer []item) string {
	return g.column(inner) + g.pick(" = ", " = ", " = ", " >= ") + g.column(outer)
}

func (g *sqlGen) column(items []item) string {
	it := items[g.r.IntN(len(items))]
	// The first column, most often the key, is the likeliest.
	if g.chance(2) {
		return it.alias + "." + it.cols[0]
	}
	return it.alias + "." + it.cols[g.r.IntN(len(it.cols))]
}

func (g *sqlGen) from(depth int, outer, ctes []item) (string, []item) {
	text, items := g.source(depth, nil, outer, ctes)
	commas := false
	for range min(g.r.IntN(3), depth+1) {
		if commas || g.chance(4) {
			commas = true
			s, more := g.source(depth, items, outer, ctes)
			text += ", " + s
			items = append(items, more...)
			continue
		}
		kind := g.pick(" JOIN ", " JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ")
		s, more := g.source(depth, nil, outer, ctes)
		var on []string
		for i := range 1 + g.r.IntN(2) {
			if i == 0 && !g.chance(5) {
				on = append(on, items[len(items)-1].alias+"."+items[len(items)-1].cols[0]+" = "+more[0].alias+"."+more[0].cols[0])
				continue
			}
			on = append(on, g.condition(append(append([]item{}, items...), more...)))
		}
		text = "(" + text + kind + s + " ON " + strings.Join(on, " AND ") + ")"
		items = append(items, more...)
	}
	return " FROM " + text, items
}

// source is one relation of FROM; left is what LATERAL may see.
func (g *sqlGen) source(depth int, left, outer, ctes []item) (string, []item) {
	a := g.name()
	switch {
	case len(ctes) > 0 && g.chance(3):
		return ctes[0].alias + " " + a, []item{{a, ctes[0].cols}}
	case depth > 0 && g.chance(6):
		sub, n := g.query(depth-1, nil, ctes)
		if g.chance(6) {
			sub += " LIMIT 100"
		}
		c := columns(n)
		return fmt.Sprintf("(%s) %s(%s)", sub, a, strings.Join(c, ", ")), []item{{a, c}}
	case depth > 0 && len(left) > 0 && g.chance(3):
		sub, inner := g.from(0, nil, nil)
		return fmt.Sprintf("LATERAL (SELECT %s%s WHERE %s) %s(c0)", g.pick("count(*)", g.column(inner)), sub, g.correlate(inner, left), a), []item{{a, []string{"c0"}}}
	case g.chance(12):
		return "(VALUES (1, 2), (3, 4)) " + a + "(c0, c1)", []item{{a, []string{"c0", "c1"}}}
	case g.chance(12):
		return "vw " + a, []item{{a, []string{"k", "n"}}}
	}
	d := exactTables[g.r.IntN(len(exactTables))]
	if g.chance(3) {
		d = exactTables[g.r.IntN(2)]
	}
	return d.name + " " + a, []item{{a, d.cols}}
}

func (g *sqlGen) constant() string {
	return g.pick("0", "1", "2", "3", "4", "5", "6", "7", "'3'", "NULL")
}

func (g *sqlGen) condition(items []item) string {
	c := g.column(items)
	switch g.r.IntN(11) {
	case 0, 1, 2:
		return c + " = " + g.column(items)
	case 3, 4:
		return c + " = " + g.constant()
	case 5:
		return c + " IN (" + g.constant() + ", " + g.constant() + ")"
	case 6:
		return c + g.pick(" >= ", " <> ", " < ") + g.constant()
	case 7:
		return "(" + g.condition(items) + " OR " + g.condition(items) + ")"
	case 8:
		return c + g.pick(" IS NULL", " IS NOT NULL", " = ANY('{1,2,5}')", " + 1 = 3")
	case 9:
		return "(" + c + ", " + g.column(items) + ") " + g.pick("= (1, 2)", "IN ((1, 2), (3, 4), (5, 5))")
	}
	return g.pick("NOT ", "") + "(" + g.condition(items) + " AND " + g.condition(items) + ")"
}

func (g *sqlGen) where(depth int, items, outer, ctes []item) string {
	var conds []string
	for range g.r.IntN(3) {
		conds = append(conds, g.condition(items))
	}
	if g.chance(2) {
		it := items[g.r.IntN(len(items))]
		conds = append(conds, it.alias+"."+it.cols[0]+" = "+g.constant())
	}
	if depth > 0 && g.chance(4) {
		sub, inner := g.from(depth-1, nil, ctes)
		all := append(append([]item{}, items...), outer...)
		switch g.r.IntN(3) {
		case 0:
			conds = append(conds, g.pick("", "NOT ")+"EXISTS (SELECT 1"+sub+" WHERE "+g.correlate(inner, all)+g.pick("", " AND "+g.condition(inner))+")")
		case 1:
			conds = append(conds, g.column(items)+g.pick(" IN ", " IN ", " NOT IN ")+"(SELECT "+g.column(inner)+sub+g.pick("", " WHERE "+g.condition(inner))+")")
		case 2:
			conds = append(conds, g.column(items)+" = (SELECT "+g.pick("count(*)", "max("+g.column(inner)+")")+sub+" WHERE "+g.correlate(inner, all)+")")
		}
	}
	if len(conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conds, " AND ")
}
