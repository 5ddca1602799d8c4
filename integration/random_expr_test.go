package integration

import (
	"fmt"
	"strings"
)

// relation is something in FROM.
type relation struct {
	columns []column
	// identity are columns that tell the rows apart, except those that print alike in every column.
	identity []string
	key      *column // the partition key
	stored   bool    // it is a table
}

type column struct {
	ref  string
	kind kind
}

// scope is what an expression can see.
type scope struct {
	relations []*relation
	outer     *scope
}

// author writes statements. Each is valid, or nearly always: it divides by nothing that may be zero, and converts
// nothing that may not convert.
type author struct {
	*tape
	aliases int
	lastID  int
	ctes    []cte
	params  [][2]*string // two values of each
	binds   bool         // literals may be parameters
	nesting int          // of queries
}

type cte struct {
	name  string
	kinds []kind
}

func (g *author) alias(prefix string) string {
	g.aliases++
	return fmt.Sprint(prefix, g.aliases)
}

// columnsOf lists what is visible of a kind, the nearest first.
func (sc *scope) columnsOf(k kind) []string {
	var out []string
	for ; sc != nil; sc = sc.outer {
		for _, r := range sc.relations {
			for _, c := range r.columns {
				if c.kind == k {
					out = append(out, c.ref)
				}
			}
		}
	}
	return out
}

func (sc *scope) identity() []string {
	var out []string
	for _, r := range sc.relations {
		out = append(out, r.identity...)
	}
	return out
}

// order sorts by the identity of the visible rows.
func (g *author) order(sc *scope, first ...string) string {
	keys := append([]string(nil), first...)
	for _, c := range sc.identity() {
		keys = append(keys, c+g.pick("", "", " desc", " nulls first"))
	}
	if len(keys) == 0 {
		return ""
	}
	return " order by " + strings.Join(keys, ", ")
}

// literals of each kind.
func (g *author) literal(k kind) string {
	if g.in(6) {
		return "null::" + k.sqlType()
	}
	switch k {
	case kNatural:
		return "'" + g.pick("a", "A", "ä", "b", "zy", "c1") + `' collate "en-x-icu"`
	case kPoint:
		return "row(" + g.pick("1, 'y1'", "0, 'y0'", "2, null") + ")::g_point"
	}
	text := g.value(k)
	if g.binds && g.in(25) {
		return g.parameter(text, g.value(k)) + "::" + k.sqlType()
	}
	if k == kInt {
		return strings.Replace(text, "-1", "(-1)", 1)
	}
	return "'" + text + "'::" + k.sqlType()
}

// value is the text of one of a kind that a parameter can be.
func (g *author) value(k kind) string {
	switch k {
	case kInt:
		return g.pick("1", "0", "2", "3", "4", "7", "15", "-1")
	case kText:
		return g.pick("a", "b", "ab", "", "B", "k3", "z")
	case kBool:
		return g.pick("true", "false")
	case kNumeric:
		return g.pick("1.25", "0.00", "2.50", "-3.75", "100.00")
	case kDate:
		return g.pick("2024-01-31", "2024-02-01", "2024-01-05", "infinity")
	case kStamp:
		return g.pick("2024-03-31 01:00:00+00", "2024-03-30 22:00:00+00", "2024-01-01 00:00:00+01")
	case kJSON:
		return g.pick(`{"a": 1}`, `1`, `"s"`, `[1, {"a": 2}]`, `null`, `{}`)
	case kFloat:
		return g.pick("0.125", "0.25", "1", "-2.5")
	case kUUID:
		return "00000000-0000-4000-8000-0000000000" + g.pick("01", "05", "10")
	case kMood:
		return g.pick("low", "mid", "high")
	default:
		return g.pick("{1,2}", "{}", "{0,NULL}", "{3,2}")
	}
}

// parameter is one whose first value is this, and whose second is other.
func (g *author) parameter(text, other string) string {
	values := [2]*string{&text, &other}
	if g.in(10) {
		values[g.below(2)] = nil
	}
	g.params = append(g.params, values)
	return fmt.Sprintf("$%d", len(g.params))
}

func (g *author) columnOr(sc *scope, k kind) string {
	if list := sc.columnsOf(k); len(list) > 0 && !g.in(15) {
		return list[g.below(len(list))]
	}
	return g.literal(k)
}

// expr makes an expression of a kind.
func (g *author) expr(sc *scope, k kind, depth int) string {
	if depth <= 0 || g.below(100) < 40 {
		return g.columnOr(sc, k)
	}
	e := func(k kind) string { return g.expr(sc, k, depth-1) }
	switch g.below(6) {
	case 1:
		return "coalesce(" + e(k) + ", " + e(k) + ")"
	case 2:
		return "case when " + g.condition(sc, depth-1) + " then " + e(k) + " else " + e(k) + " end"
	case 3:
		if g.nesting < 3 {
			return g.scalar(sc, k, depth)
		}
	case 4:
		if k != kJSON && k != kBool {
			return g.pick("greatest", "least") + "(" + e(k) + ", " + e(k) + ")"
		}
	}
	return g.function(sc, k, depth)
}

// function is an expression of a kind that only that kind has.
func (g *author) function(sc *scope, k kind, depth int) string {
	e := func(k kind) string { return g.expr(sc, k, depth-1) }
	if g.in(25) {
		if sql := g.rarer(sc, k, e); sql != "" {
			return sql
		}
	}
	switch k {
	case kInt:
		switch g.below(8) {
		case 0:
			return "(" + e(kInt) + g.pick(" + ", " - ") + e(kInt) + ")"
		case 1:
			return "(" + e(kInt) + " % " + g.pick("3", "2", "5") + ")"
		case 2:
			return "length(" + e(kText) + ")"
		case 3:
			return "extract(day from " + e(kDate) + ")::int"
		case 4:
			j := g.columnOr(sc, kJSON)
			return "case when " + j + " ->> 'a' ~ '^[0-9]$' then (" + j + " ->> 'a')::int end"
		case 5:
			return "(" + e(kDate) + " - date '2024-01-01')"
		case 6:
			return "(" + e(kInt) + " / nullif(" + e(kInt) + ", 0))"
		default:
			return "abs(" + e(kInt) + ")"
		}
	case kText:
		switch g.below(5) {
		case 0:
			return "(" + e(kText) + " || " + e(kText) + ")"
		case 1:
			return g.pick("upper", "lower", "md5") + "(" + e(kText) + ")"
		case 2:
			return "(" + e(kJSON) + g.pick(" ->> 'a'", " ->> 0", " #>> '{o,a}'", " #>> '{l,1}'") + `) collate "C"`
		case 3:
			return "left(" + e(kText) + ", 1)"
		default:
			return "(" + e(kInt) + `)::text collate "C"`
		}
	case kNatural:
		return g.pick("lower", "upper") + "(" + e(kNatural) + ")"
	case kNumeric:
		switch g.below(3) {
		case 0:
			return "(" + e(kNumeric) + g.pick(" + ", " - ") + e(kNumeric) + ")"
		case 1:
			return "(" + e(kInt) + ")::numeric(12,2)"
		default:
			return "round(" + e(kNumeric) + " * " + g.pick("1.5", "0.25") + ", 2)"
		}
	case kDate:
		return g.pick("("+e(kDate)+" + "+g.pick("1", "30")+")", "("+e(kStamp)+" at time zone 'UTC')::date")
	case kStamp:
		return g.pick("("+e(kStamp)+" + interval '1 hour')", "date_trunc('day', "+e(kStamp)+", 'Europe/Berlin')")
	case kJSON:
		return g.pick("("+e(kJSON)+" -> 'a')", "to_jsonb("+e(kInt)+")", "jsonb_build_array("+e(kText)+", "+e(kInt)+")", "("+e(kJSON)+" #> '{l,0}')")
	case kFloat:
		return "(" + e(kFloat) + " + " + e(kFloat) + ")"
	case kBool:
		return g.condition(sc, depth-1)
	}
	return g.columnOr(sc, k)
}

// scalar is a subquery of one row and one column.
func (g *author) scalar(sc *scope, k kind, depth int) string {
	g.nesting++
	defer func() { g.nesting-- }()
	inner, from := g.from(sc, 1)
	where := g.where(inner, depth-1)
	if g.in(30) {
		return "(select " + g.expr(inner, k, depth-1) + from + where + g.orderAll(inner) + " limit 1)"
	}
	return "(select " + g.aggregate(inner, k, depth-1) + from + where + ")"
}

// orderAll sorts by all that is visible of the innermost query.
func (g *author) orderAll(sc *scope) string { return g.order(&scope{relations: sc.relations}) }

// aggregate is one of a kind that does not depend on the order of its rows.
func (g *author) aggregate(sc *scope, k kind, depth int) string {
	here := &scope{relations: sc.relations}
	e := func(k kind) string { return g.expr(here, k, min(depth, 1)) }
	filter := ""
	if g.in(15) {
		filter = " filter (where " + g.condition(here, 0) + ")"
	}
	if g.in(25) {
		if sql := g.rarerAggregate(sc, k, e); sql != "" {
			return sql + filter + map[bool]string{true: "::int"}[k == kInt]
		}
	}
	switch k {
	case kInt:
		switch g.below(6) {
		case 0:
			return "count(*)" + filter + "::int"
		case 1:
			return "sum(" + e(kInt) + ")" + filter + "::int"
		case 2:
			return "count(distinct " + e(kind(g.below(int(kinds)))) + ")" + filter + "::int"
		case 3:
			return "bit_or(" + e(kInt) + ")" + filter
		case 4:
			return "percentile_disc(0.5) within group (order by " + e(kInt) + ")" + filter
		}
	case kBool:
		return g.pick("bool_and", "bool_or", "every") + "(" + e(kBool) + ")" + filter
	case kNumeric:
		return g.pick("sum("+e(kNumeric)+")"+filter, "sum(distinct "+e(kNumeric)+")"+filter, "round(avg("+e(kNumeric)+")"+filter+", 2)", "round(stddev("+e(kInt)+")"+filter+", 2)")
	case kText:
		if g.in(50) {
			return "string_agg(" + e(kText) + ", ','" + g.orderAll(sc) + ")" + filter
		}
	case kJSON:
		return g.pick("jsonb_agg("+e(kInt)+g.orderAll(sc)+")", "jsonb_agg(distinct "+e(kText)+")", "to_jsonb(array_agg("+e(kInt)+g.orderAll(sc)+"))") + filter
	case kFloat:
		return "sum(" + e(kFloat) + ")" + filter
	case kUUID:
		return "(array_agg(" + e(kUUID) + g.orderAll(sc) + "))[1]"
	case kPoint:
		return "(array_agg(" + e(kPoint) + g.orderAll(sc) + "))[1]"
	}
	return g.pick("max", "min") + "(" + e(k) + ")" + filter
}

// condition is a boolean expression.
func (g *author) condition(sc *scope, depth int) string {
	k := kind(g.below(int(kinds)))
	e := func(k kind) string { return g.expr(sc, k, depth-1) }
	if depth > 0 {
		switch g.below(12) {
		case 1:
			return "(" + g.condition(sc, depth-1) + " and " + g.condition(sc, depth-1) + ")"
		case 2:
			return "(" + g.condition(sc, depth-1) + " or " + g.condition(sc, depth-1) + ")"
		case 3:
			return "not (" + g.condition(sc, depth-1) + ")"
		case 4, 5:
			if g.nesting < 3 {
				return g.subquery(sc, depth)
			}
		case 6:
			return "(" + e(kInt) + ", " + e(k) + ")" + g.pick(" = ", " < ", " is not distinct from ", " >= ") + "(" + e(kInt) + ", " + e(k) + ")"
		}
	}
	if g.in(25) {
		return g.rarerCondition(sc, k, e)
	}
	switch g.below(8) {
	case 0, 1:
		return e(k) + g.pick(" = ", " < ", " >= ", " <> ", " is distinct from ") + e(k)
	case 2:
		return g.columnOr(sc, k) + g.pick(" is null", " is not null")
	case 3:
		return e(k) + g.pick(" in (", " not in (") + g.literal(k) + ", " + e(k) + ")"
	case 4:
		return g.columnOr(sc, k) + " between " + g.literal(k) + " and " + e(k)
	case 5:
		return g.columnOr(sc, kText) + g.pick(" like 'a%'", " ~ '[ab]'", " ilike '%B'")
	case 6:
		return g.columnOr(sc, kJSON) + g.pick(" ? 'a'", ` @> '{"a": 1}'`, " @? '$.a'", " -> 'a' is null")
	default:
		return g.columnOr(sc, kBool) + g.pick("", " is true", " is not false", " is null")
	}
}

// subquery is a condition with a query in it.
func (g *author) subquery(sc *scope, depth int) string {
	g.nesting++
	defer func() { g.nesting-- }()
	k := kind(g.below(int(kinds)))
	switch g.below(4) {
	case 0:
		inner, from := g.from(sc, 1)
		return g.pick("exists", "not exists") + " (select" + from + " where " + g.condition(inner, depth-1) + ")"
	case 1:
		q := g.query(sc, depth-1, []kind{k})
		return g.expr(sc, k, 0) + g.pick(" in ", " not in ", " = any ", " >= all ", " < any ") + "(" + q + ")"
	case 2:
		q := g.query(sc, depth-1, []kind{k, kInt})
		return "(" + g.expr(sc, k, 0) + ", " + g.expr(sc, kInt, 0) + ") in (" + q + ")"
	default:
		return g.expr(sc, k, 0) + g.pick(" = ", " > ", " <> ") + g.scalar(sc, k, depth-1)
	}
}
