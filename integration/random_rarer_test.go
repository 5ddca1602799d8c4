package integration

import "strings"

// rows names the visible relations, each of which is a value too.
func (sc *scope) rows() []string {
	var out []string
	for _, r := range sc.relations {
		if name, _, ok := strings.Cut(r.columns[0].ref, "."); ok {
			out = append(out, name)
		}
	}
	return out
}

// row is one of the visible relations as a value of its row type, "" where there is none.
func (g *author) row(sc *scope) string {
	list := sc.rows()
	if len(list) == 0 {
		return ""
	}
	return list[g.below(len(list))]
}

// rarer are functions beside those of function; "" where a kind has none.
func (g *author) rarer(sc *scope, k kind, e func(kind) string) string {
	switch k {
	case kInt:
		return g.rarerInt(sc, e)
	case kText:
		switch g.below(9) {
		case 0:
			return "replace(" + e(kText) + ", 'a', 'xy')"
		case 1:
			return "split_part(" + e(kText) + ", 'b', 1)"
		case 2:
			return "concat_ws('-', " + e(kText) + ", " + e(kInt) + ", " + e(kBool) + `) collate "C"`
		case 3:
			return "format('%s|%L', " + e(kInt) + ", " + e(kText) + `) collate "C"`
		case 4:
			return "to_char(" + e(kDate) + `, 'YYYY-MM-DD') collate "C"`
		case 5:
			return "jsonb_typeof(" + e(kJSON) + `) collate "C"`
		case 6:
			return "(" + g.pick(e(kMood), e(kArray), e(kPoint), e(kUUID), e(kNumeric)) + `)::text collate "C"`
		case 7:
			return "(" + e(kPoint) + `).y collate "C"`
		default:
			return "g_name(" + e(kInt) + `) collate "C"`
		}
	case kNumeric:
		return "g_twice(" + e(kInt) + ")::numeric(12,2)"
	case kDate:
		return "make_date(2024, 1 + abs(" + e(kInt) + ") % 12, 5)"
	case kStamp:
		return "(" + e(kDate) + "::timestamp at time zone 'Asia/Tokyo')"
	case kJSON:
		switch row := g.row(sc); {
		case row != "" && g.in(40):
			return "to_jsonb(" + row + ")"
		case g.in(30):
			return "jsonb_path_query_first(" + e(kJSON) + ", '$.l[0]')"
		case g.in(30):
			return "(" + e(kJSON) + " || " + e(kJSON) + ")"
		default:
			return "to_jsonb(" + e(kind(g.below(int(kinds)))) + ")"
		}
	case kMood:
		return "(case when " + e(kBool) + " then 'high' else 'mid' end)::g_mood"
	case kArray:
		return g.pick("("+e(kArray)+" || "+e(kInt)+")", "array["+e(kInt)+", "+e(kInt)+"]", "array_remove("+e(kArray)+", 2)")
	case kPoint:
		return "row(" + e(kInt) + ", " + e(kText) + ")::g_point"
	case kUUID:
		return "md5(" + e(kText) + ")::uuid"
	case kFloat:
		return "(" + e(kInt) + " * 0.5::float8)"
	}
	return ""
}

func (g *author) rarerInt(sc *scope, e func(kind) string) string {
	switch g.below(9) {
	case 0:
		return "position('b' in " + e(kText) + ")"
	case 1:
		return "(" + e(kArray) + ")[1]"
	case 2:
		return "cardinality(" + e(kArray) + ")"
	case 3:
		return "(" + e(kPoint) + ").x"
	case 4:
		return "case " + e(kInt) + " when 1 then " + e(kInt) + " when " + g.literal(kInt) + " then 7 else 0 end"
	case 5:
		return "nullif(" + e(kInt) + ", " + e(kInt) + ")"
	case 6:
		return "g_twice(" + e(kInt) + ")"
	case 7:
		return "g_count(" + e(kInt) + ")"
	default:
		if row := g.row(sc); row != "" {
			return "num_nulls(" + row + ".*)"
		}
		return "sign(" + e(kInt) + ")::int"
	}
}

// rarerAggregate are aggregates beside those of aggregate; "" where a kind has none.
func (g *author) rarerAggregate(sc *scope, k kind, e func(kind) string) string {
	switch k {
	case kInt:
		switch g.below(8) {
		case 0:
			return "count((" + e(kInt) + ", " + e(kText) + "))"
		case 1:
			return "mode() within group (order by " + e(kInt) + ")"
		case 2:
			return "g_total(" + e(kInt) + ")"
		case 3:
			return "g_plain(" + g.pick("", "distinct ") + e(kInt) + ")"
		case 4:
			return "bit_xor(" + e(kInt) + ")"
		case 5:
			return "count(distinct (" + e(kInt) + ", " + e(kText) + "))"
		case 6:
			return "rank(2, 'b') within group (order by " + e(kInt) + ", " + e(kText) + ")"
		default:
			if row := g.row(sc); row != "" {
				return "count(" + row + ")"
			}
		}
	case kText:
		x := e(kText)
		return "string_agg(distinct " + x + ", '|' order by " + x + g.pick("", " desc") + ")"
	case kJSON:
		switch g.below(4) {
		case 0:
			x := e(kMood)
			return "to_jsonb(array_agg(distinct " + x + " order by " + x + g.pick("", " desc", " nulls first") + "))"
		case 1:
			return "jsonb_object_agg(coalesce(" + e(kText) + ", '-'), " + e(kInt) + g.orderAll(sc) + ")"
		case 2:
			return "jsonb_agg(" + e(kPoint) + g.orderAll(sc) + ")"
		default:
			if row := g.row(sc); row != "" {
				return "jsonb_agg(" + row + g.orderAll(sc) + ")"
			}
		}
	case kFloat:
		return g.pick("avg("+e(kFloat)+")", "percentile_cont(0.5) within group (order by "+e(kFloat)+")")
	case kNumeric:
		return "sum(" + e(kNumeric) + g.orderAll(sc) + ")"
	case kArray:
		return "array_agg(" + e(kInt) + g.orderAll(sc) + ")"
	}
	return ""
}

// rarerCondition are conditions beside those of condition.
func (g *author) rarerCondition(sc *scope, k kind, e func(kind) string) string {
	switch g.below(9) {
	case 0:
		return e(k) + g.pick(" = any ", " <> all ", " > any ") + "(array[" + e(k) + ", " + g.literal(k) + "])"
	case 1:
		return "(" + e(kInt) + ", " + e(k) + ") in ((1, " + g.literal(k) + "), (" + g.literal(kInt) + ", " + e(k) + "))"
	case 2:
		return e(k) + g.pick(" in ", " not in ") + "(values (" + g.literal(k) + "), (" + e(k) + "))"
	case 3:
		return e(k) + " not between symmetric " + e(k) + " and " + g.literal(k)
	case 4:
		return "(" + e(kInt) + ", " + e(kText) + ", " + e(k) + ")" + g.pick(" < ", " <= ", " <> ") + "(" + g.literal(kInt) + ", " + e(kText) + ", " + e(k) + ")"
	case 5:
		return e(kArray) + g.pick(" @> ", " && ", " <@ ") + "array[1, 2]"
	case 6:
		return e(kInt) + " = any (" + e(kArray) + ")"
	case 7:
		if row := g.row(sc); row != "" {
			return row + g.pick(".*", "") + g.pick(" is null", " is not null", " is distinct from null")
		}
	}
	return e(kJSON) + g.pick(" @@ '$.a == 1'", " ?| array['a', 'l']", " = '1'", " <@ '[1, 2, {\"a\": 2}]'")
}
