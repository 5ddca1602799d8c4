package router

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// combineGen writes random queries over the table s of TestCombineExact, and reference table r.
type combineGen struct{ r *rand.Rand }

func (g *combineGen) pick(list ...string) string { return list[g.r.IntN(len(list))] }
func (g *combineGen) chance(n int) bool          { return g.r.IntN(n) == 0 }

// key is an expression to group by.
func (g *combineGen) key() string {
	return g.pick("b", "x", "y", "v", "ch", "t", "d", "at", "iv", "arr", "txt", "u", "nn", "js", "s.b", "f", "js->>'s'", "js->'in'", "(js->>'a')::int",
		"js#>>'{in,x,0}'", "b % 3", "lower(x)", "x || y", "x || 'k'", "length(x)", "coalesce(x, v)", "t AND b > 2", "nn::int", "d + b", "date_trunc('month', d)",
		"v::text", "x COLLATE \"C\"", "CASE WHEN b > 3 THEN x ELSE v END", "(b, t)", "b IS NULL", "upper(v)", "extract(day FROM d)", "f::numeric", "NOT t",
		"iv * 2", "b::int8", "nullif(b, 3)", "greatest(x, v)", "arr || b", "txt[2]", "b IN (1, 2)", "x LIKE 'a%'")
}

// value is an argument of an aggregate of any type, number of one of numbers.
func (g *combineGen) value() string {
	return g.pick("k", "a", "b", "c", "n", "nn", "x", "y", "v", "d", "at", "iv", "arr", "js->>'s'", "b % 2", "f", "u::text", "ch")
}

func (g *combineGen) number() string {
	return g.pick("a", "b", "c", "n", "nn", "n::numeric(20,2)", "a * b", "(js->>'a')::int", "(js->>'a')::numeric / 3", "nn + b", "f", "f4", "iv", "b::int2", "-n", "f::int")
}

func (g *combineGen) filter() string {
	if g.chance(4) {
		return " FILTER (WHERE " + g.pick("t", "b > 2", "x IS NOT NULL", "EXISTS (SELECT FROM r WHERE r.id = s.b)", "nn > 1.1") + ")"
	}
	return ""
}

func (g *combineGen) aggregate() string {
	f := g.filter()
	switch g.r.IntN(14) {
	case 0, 1:
		return "count(*)" + f
	case 2:
		return g.pick("count", "max", "min", "count") + "(" + g.value() + ")" + f
	case 3:
		return g.pick("max", "min") + "(" + g.value() + ")" + f
	case 4, 5, 6:
		return g.pick("sum", "avg") + "(" + g.number() + ")" + f
	case 7, 8:
		return g.pick("stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp") + "(" + g.pick("a", "b", "c", "n", "nn", "a * b", "nn * 7.5") + ")" + f
	case 9:
		return g.pick("bool_and", "bool_or", "every") + "(" + g.pick("t", "b > 3") + ")" + f
	case 10:
		return g.pick("bit_and", "bit_or", "bit_xor") + "(" + g.pick("a", "b", "c") + ")" + f
	case 11:
		return g.pick("count", "sum", "avg", "array_agg") + "(DISTINCT " + g.pick("b", "a", "nn", "b % 3", "(js->>'a')::int") + ")" + f
	case 12:
		return g.pick("string_agg(DISTINCT v, ',' ORDER BY v DESC)", "count(DISTINCT x)", "string_agg(x, '-' ORDER BY x COLLATE \"C\", v COLLATE \"C\")", "count(DISTINCT (b, t))")
	}
	return "round(" + g.pick("avg(f)", "stddev(f)", "var_pop(f4)", "regr_slope(f, b)", "corr(f, f4)", "covar_pop(f, b)", "sum(f)", "regr_avgy(f, b)") + "::numeric, 6)"
}

// rare is an aggregate that makes rows travel one by one.
func (g *combineGen) rare() string {
	return g.pick("percentile_cont(0.3) WITHIN GROUP (ORDER BY b)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY js->>'s')", "mode() WITHIN GROUP (ORDER BY b)",
		"array_agg(b ORDER BY k, b)", "jsonb_agg(js->'a' ORDER BY k, js->'a')", "rank(3) WITHIN GROUP (ORDER BY b)", "string_agg(x || y, ',' ORDER BY k, x COLLATE \"C\", y)",
		"array_agg((js->>'a')::int ORDER BY k, js->>'a') FILTER (WHERE t)", "jsonb_object_agg(k, 1)", "max(DISTINCT b)")
}

// over wraps an aggregate in an expression.
func (g *combineGen) over(a string) string {
	switch g.r.IntN(7) {
	case 0:
		return "coalesce(" + a + "::text, '-')"
	case 1:
		return "(" + a + ")::text || 'x'"
	case 2:
		return "CASE WHEN count(*) > 2 THEN " + a + " END"
	case 3:
		return "10 / nullif(count(*), 0) + count(b)"
	}
	return a
}

func (g *combineGen) where() string {
	if g.chance(2) {
		return ""
	}
	return " WHERE " + g.pick("b > 1", "x <> 'a'", "t", "js @> '{\"a\": 1}'", "b IN (SELECT id FROM r WHERE label = 'l1')", "k < 0", "nn IS NOT NULL")
}

func (g *combineGen) statement() (text string, ordered bool) {
	switch g.r.IntN(12) {
	case 0:
		return g.distinct()
	case 1:
		return g.windows()
	case 2:
		list := g.pick("count(*)", "count(*), sum(a), max(b)", "min(x), max(v), count(x)", "sum(n), bool_or(t)", "sum(c), max(n), every(t), sum(f4)", "max(x) || 'y'")
		return "SELECT " + list + " FROM s" + g.where(), false
	case 3:
		return "SELECT label, s.b, " + g.over(g.aggregate()) + " FROM s JOIN r ON r.id = s.b" + g.where() + " GROUP BY r.id, s.b", false
	}
	return g.grouped()
}

func (g *combineGen) grouped() (text string, ordered bool) {
	var keys, cols []string
	for range g.r.IntN(3) {
		keys = append(keys, g.key())
	}
	for _, k := range keys {
		if g.chance(4) {
			continue
		}
		cols = append(cols, g.pick(k, k, k, "("+k+")::text", "coalesce(("+k+")::text, 'none')"))
	}
	var aggs []string
	for range 1 + g.r.IntN(3) {
		a := g.aggregate()
		if g.chance(9) {
			a = g.rare()
		}
		aggs = append(aggs, a)
		cols = append(cols, g.over(a))
	}
	if g.chance(8) {
		cols = append(cols, g.pick("sum(count(*)) OVER ()", "rank() OVER (ORDER BY count(*))", "max("+aggs[0]+") OVER (ORDER BY count(*) RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
			"(SELECT max(label) FROM r)", "(SELECT label FROM r WHERE id = count(*))", "'lit'", "now() IS NULL", "row(count(*), 1)::text"))
	}
	text = "SELECT " + g.pick("", "", "", "DISTINCT ") + strings.Join(cols, ", ") + g.pick(" FROM s", " FROM s", " FROM (SELECT * FROM s WHERE b IS DISTINCT FROM 4) s", " FROM s LEFT JOIN r ON r.id = s.b") + g.where()
	if len(keys) > 0 {
		list := strings.Join(keys, ", ")
		switch g.r.IntN(8) {
		case 0:
			list = "ROLLUP (" + list + ")"
		case 1:
			list = "CUBE (" + list + ")"
		case 2:
			list = "GROUPING SETS ((" + list + "), (" + keys[0] + "), ())"
		}
		text += " GROUP BY " + list
	}
	if g.chance(4) {
		text += " HAVING " + g.pick("count(*) > 1", aggs[0]+" IS NOT NULL", "max(b) > (SELECT min(id) FROM r)", "bool_or(t)", "true", "sum(a) > 0 AND count(*) < 5")
	}
	if !strings.Contains(text, "DISTINCT ON") && g.chance(3) {
		return text + g.sorted(len(cols)), true
	}
	return text, false
}

// sorted orders by all columns, which makes the rows' order total but for values that are equal and print differently.
func (g *combineGen) sorted(n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint(i+1)+g.pick("", " DESC", " NULLS FIRST"))
	}
	return " ORDER BY " + strings.Join(keys, ", ") + g.pick("", "", " LIMIT 3", " OFFSET 1 LIMIT 2", " LIMIT (SELECT 2)", " FETCH FIRST 2 ROWS WITH TIES")
}

func (g *combineGen) distinct() (text string, ordered bool) {
	var cols []string
	for range 1 + g.r.IntN(3) {
		cols = append(cols, g.key())
	}
	list := strings.Join(cols, ", ")
	if g.chance(2) {
		text = "SELECT DISTINCT " + list + " FROM s" + g.where()
		if g.chance(2) {
			return text + g.sorted(len(cols)), true
		}
		return text, false
	}
	return fmt.Sprintf("SELECT DISTINCT ON (%s) %s, k, b, js->>'s' AS w, n FROM s%s ORDER BY %s, k, b, js->>'s', n, a, c, f, x COLLATE \"C\", js%s", cols[0], list, g.where(), cols[0], g.pick("", " LIMIT 2")), true
}

func (g *combineGen) windows() (text string, ordered bool) {
	w := g.pick("(PARTITION BY b ORDER BY k, c, n)", "(ORDER BY k, c, n)", "(PARTITION BY x ORDER BY k, c, n ROWS 2 PRECEDING)", "(PARTITION BY js->>'s' ORDER BY k, c, n)", "w")
	f := g.pick("row_number()", "sum(b)", "lag(x)", "count(*)", "first_value(js->'a')", "count(*) FILTER (WHERE t)", "max(nn)")
	text = "SELECT k, c, n, " + f + " OVER " + w + g.pick("", ", js->>'a' AS j", ", b + 1") + " FROM s" + g.where()
	if w == "w" {
		text += " WINDOW w AS (PARTITION BY t ORDER BY k, c, n)"
	}
	if g.chance(2) {
		return text + " ORDER BY k, c, n" + g.pick("", " LIMIT 3"), true
	}
	return text, false
}
