package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// table is a FROM item over a stored table or view.
func (g *author) table() (*relation, string) {
	a := g.alias("t")
	n := g.below(len(randomTables) + 4)
	if n >= len(randomTables) {
		name := [...]string{"g_view", "g_joined", "g_sums", "g_view"}[n-len(randomTables)]
		r := &relation{columns: []column{{a + ".id", kInt}, {a + ".i", kInt}, {a + ".k", kInt}, {a + ".s", kText}}}
		r.identity = []string{a + ".id", a + ".k", a + ".i", a + ".s"}
		return r, name + " " + a
	}
	t := randomTables[n]
	text := t.name + " " + a
	if g.in(1) {
		text += " tablesample " + g.pick("bernoulli (100)", "system (100)")
	}
	return t.relation(a), text
}

func (t randomTable) relation(a string) *relation {
	r := &relation{identity: []string{a + ".id"}, stored: true}
	for _, c := range randomColumns {
		r.columns = append(r.columns, column{a + "." + c.name, c.kind})
	}
	if t.keyKind != kinds {
		r.columns = append(r.columns, column{a + ".k" + t.keyCast, t.keyKind})
		if t.key != "" && t.keyCast == "" {
			r.key = &r.columns[len(r.columns)-1]
		}
	}
	return r
}

// derived is a relation with columns of these kinds, named c0, c1 …
func derived(a string, list []kind) *relation {
	r := &relation{}
	for i, k := range list {
		c := column{fmt.Sprintf("%s.c%d", a, i), k}
		r.columns = append(r.columns, c)
		r.identity = append(r.identity, c.ref)
	}
	return r
}

func named(a string, n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("c", i))
	}
	return a + "(" + strings.Join(names, ", ") + ")"
}

// item is one thing in FROM; lateral what it may refer to.
func (g *author) item(outer, lateral *scope, depth int) (*relation, string) {
	pick := g.below(20)
	if depth <= 0 || g.nesting >= 3 {
		pick = min(pick, 14)
	}
	switch {
	case pick < 14:
		return g.table()
	case pick == 14:
		a := g.alias("v")
		return derived(a, []kind{kInt, kText}), "(values (1, 'a'), (2, 'b'), (3, null)) " + named(a, 2)
	case pick == 15:
		a := g.alias("s")
		return derived(a, []kind{kInt}), "generate_series(0, " + g.pick("2", "4") + ") " + named(a, 1)
	case pick == 16 && len(g.ctes) > 0:
		c := g.ctes[g.below(len(g.ctes))]
		a := g.alias("w")
		return derived(a, c.kinds), c.name + " " + named(a, len(c.kinds))
	case pick == 17 && len(lateral.columnsOf(kJSON)) > 0:
		a := g.alias("e")
		j := g.columnOr(lateral, kJSON)
		return derived(a, []kind{kJSON}), "jsonb_array_elements(case when jsonb_typeof(" + j + ") = 'array' then " + j + " end) " + named(a, 1)
	case pick == 19 && g.in(40):
		return g.rows(lateral)
	case pick == 18 && len(lateral.relations) > 0:
		a, list := g.alias("l"), g.kinds(2)
		g.nesting++
		q := g.query(&scope{relations: lateral.relations, outer: outer}, depth-1, list)
		g.nesting--
		return derived(a, list), "lateral (" + q + ") " + named(a, len(list))
	default:
		a, list := g.alias("q"), g.kinds(3)
		g.nesting++
		q := g.query(outer, depth-1, list)
		g.nesting--
		return derived(a, list), "(" + q + ") " + named(a, len(list))
	}
}

// rows are what functions in FROM give, of values of other items where there are any.
func (g *author) rows(lateral *scope) (*relation, string) {
	a := g.alias("f")
	n, j := g.columnOr(lateral, kInt), g.columnOr(lateral, kJSON)
	switch g.below(6) {
	case 0:
		return derived(a, []kind{kInt}), "generate_series(0, " + n + " % 4) " + named(a, 1)
	case 1:
		return derived(a, []kind{kInt, kInt}), "unnest(" + g.columnOr(lateral, kArray) + ") with ordinality " + named(a, 2)
	case 2:
		return derived(a, []kind{kJSON}), "jsonb_path_query(" + j + ", '$.*') " + named(a, 1)
	case 3:
		return derived(a, []kind{kText, kJSON}), "jsonb_each(case when jsonb_typeof(" + j + ") = 'object' then " + j + " end) " + named(a, 2)
	case 4:
		return derived(a, []kind{kInt}), "g_found(" + n + ") " + named(a, 1)
	default:
		return derived(a, []kind{kInt, kMood}), "rows from (generate_series(1, 2), unnest(array[" + g.literal(kMood) + "])) " + named(a, 2)
	}
}

func (g *author) kinds(most int) []kind {
	list := make([]kind, 1+g.below(most))
	for i := range list {
		list[i] = kind(g.below(int(kinds)))
	}
	return list
}

// from makes a FROM of up to three items.
func (g *author) from(outer *scope, depth int) (*scope, string) {
	sc := &scope{outer: outer}
	first, text := g.item(outer, &scope{}, depth)
	sc.relations = append(sc.relations, first)
	for range []int{0, 0, 0, 0, 1, 1, 2}[g.below(7)] {
		how := g.pick(" join ", " join ", " left join ", " full join ", " right join ", " cross join ")
		lateral := &scope{relations: sc.relations}
		if how == " full join " || how == " right join " {
			lateral = &scope{}
		}
		next, item := g.item(outer, lateral, depth)
		on := " on " + g.equality(sc.relations, next)
		switch {
		case how == " cross join " && g.in(70):
			how = " join "
		case how == " cross join ":
			on = ""
		case how != " full join " && g.in(25):
			on += " and " + g.condition(&scope{relations: append(append([]*relation(nil), sc.relations...), next), outer: outer}, 1)
		}
		if on != "" && g.in(12) { // a join of two on the right
			third, more := g.table()
			item = "(" + item + g.pick(" left join ", " join ", " full join ") + more + " on " + g.equality([]*relation{next}, third) + ")"
			sc.relations = append(sc.relations, third)
		}
		if len(sc.relations) == 1 && g.in(8) && sc.relations[0].stored && next.stored {
			on = " using (" + g.pick("id", "i, s", "k") + ")"
		}
		sc.relations = append(sc.relations, next)
		text += how + item + on
	}
	return sc, " from " + text
}

// equality joins: by the partition keys where both have one of a kind, else by whatever two columns compare.
func (g *author) equality(left []*relation, right *relation) string {
	l := left[g.below(len(left))]
	if l.key != nil && right.key != nil && l.key.kind == right.key.kind && !g.in(25) {
		return l.key.ref + " = " + right.key.ref
	}
	var pairs []string
	for _, a := range l.columns {
		for _, b := range right.columns {
			if a.kind == b.kind && a.kind != kBool && a.kind != kJSON {
				pairs = append(pairs, a.ref+" = "+b.ref)
			}
		}
	}
	if len(pairs) == 0 {
		return "1 = 1"
	}
	return pairs[g.below(len(pairs))]
}

func (g *author) where(sc *scope, depth int) string {
	if g.below(100) < 40 {
		return ""
	}
	if r := sc.relations[0]; r.key != nil && g.in(15) {
		value := g.literal(r.key.kind)
		if strings.HasPrefix(value, "$") && g.in(50) {
			value, _, _ = strings.Cut(value, "::") // its type is the column's
		}
		switch g.below(4) { // one shard, or two
		case 0:
			return " where " + r.key.ref + " in (" + value + ", " + g.literal(r.key.kind) + ")"
		case 1:
			return " where " + r.key.ref + " = any (array[" + value + ", " + g.literal(r.key.kind) + "])"
		}
		return " where " + r.key.ref + " = " + value
	}
	return " where " + g.condition(sc, depth)
}

// query is a SELECT with columns of these kinds. Its rows are determined, not their order.
func (g *author) query(outer *scope, depth int, list []kind) string {
	if depth > 0 && g.in(12) {
		g.nesting++
		l, r := g.query(outer, depth-1, list), g.query(outer, depth-1, list)
		g.nesting--
		return "(" + l + ")" + g.pick(" union all ", " union ", " except ", " intersect ", " except all ", " intersect all ") + "(" + r + ")"
	}
	sc, from := g.from(outer, depth)
	where := g.where(sc, depth)
	switch pick := g.below(12); {
	case pick == 11:
		return g.grouped(sc, from+where, list, depth)
	case pick == 10:
		var cols []string
		for _, k := range list {
			cols = append(cols, g.aggregate(sc, k, depth))
		}
		return "select " + strings.Join(cols, ", ") + from + where + g.pick("", "", " having count(*) > 2")
	case pick == 9 && g.in(25):
		return g.tied(sc, from+where, list, depth)
	case pick == 9:
		return g.distinctOn(sc, from+where, list, depth)
	case pick == 8:
		return g.windowed(sc, from+where, list, depth)
	}
	var cols []string
	for _, k := range list {
		cols = append(cols, g.expr(sc, k, depth))
	}
	sql := "select " + g.pick("", "", "", "distinct ") + strings.Join(cols, ", ") + from + where
	if g.in(12) {
		sql += positions(g, len(list)) + g.limit()
	}
	return sql
}

// positions sorts by all output columns.
func positions(g *author, n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint(i+1)+g.pick("", "", " desc", " nulls first", " desc nulls last"))
	}
	return " order by " + strings.Join(keys, ", ")
}

func (g *author) limit() string {
	switch g.below(6) {
	case 0:
		return " limit 5"
	case 1:
		return fmt.Sprint(" limit ", g.below(9))
	case 2:
		return fmt.Sprint(" limit ", 1+g.below(9), " offset ", g.below(5))
	case 3:
		return fmt.Sprint(" offset ", g.below(9))
	case 4:
		return fmt.Sprint(" fetch first ", 1+g.below(4), " rows with ties")
	default:
		return " limit (select count(*) from g_ref where i = 1)"
	}
}

var columnName = regexp.MustCompile(`[a-z]\d+\.[a-z]`)

// namesColumn tells an expression of columns from a constant.
func namesColumn(sql string) bool { return columnName.MatchString(sql) }

// grouped has some columns that it groups by; the others are aggregates.
func (g *author) grouped(sc *scope, rest string, list []kind, depth int) string {
	here := &scope{relations: sc.relations}
	cols := make([]string, len(list))
	var groups []string
	for i, k := range list {
		switch {
		case i == 0 || g.in(40):
			cols[i] = g.expr(here, k, min(depth, 1)-g.below(2))
			if len(here.columnsOf(k)) > 0 && !namesColumn(cols[i]) {
				cols[i] = here.columnsOf(k)[0] // a constant would be a position
			}
			if namesColumn(cols[i]) && !strings.Contains(cols[i], "$") && !strings.Contains(cols[i], "select") {
				// PostgreSQL sorts by one of two equal expressions, which grouping sets make differ.
				if !slices.Contains(cols[:i], cols[i]) {
					groups = append(groups, fmt.Sprint(i+1))
				}
				continue
			}
			cols[i] = g.aggregate(sc, k, depth)
		case g.in(15) && k == kInt:
			cols[i] = "(rank() over (order by " + g.aggregate(sc, kInt, 0) + "))::int"
		default:
			cols[i] = g.aggregate(sc, k, depth)
		}
	}
	sql := "select " + strings.Join(cols, ", ") + rest
	switch {
	case len(groups) == 0:
		return sql + " group by ()"
	case g.in(15):
		// GROUPING SETS take no positions together with expressions of them: the columns themselves.
		sets := g.pick("rollup", "cube")
		sql += " group by " + sets + " (" + strings.Join(groups, ", ") + ")"
	default:
		sql += " group by " + strings.Join(groups, ", ")
	}
	if g.in(25) {
		sql += " having " + g.aggregate(sc, kInt, 0) + g.pick(" > ", " <= ", " = ") + g.pick("1", "3", "(select max(i) from g_ref)")
	}
	return sql
}

func (g *author) distinctOn(sc *scope, rest string, list []kind, depth int) string {
	var cols []string
	for _, k := range list {
		cols = append(cols, g.expr(sc, k, depth-1))
	}
	on := g.columnOr(&scope{relations: sc.relations}, list[0])
	if !namesColumn(on) {
		on = "(" + on + ")"
	}
	return "(select distinct on (" + on + ") " + strings.Join(cols, ", ") + rest + g.order(sc, on+g.pick("", " desc")) + ")"
}

// windowed has a window function in its last column of a kind that one gives.
func (g *author) windowed(sc *scope, rest string, list []kind, depth int) string {
	here := &scope{relations: sc.relations}
	var cols []string
	for _, k := range list {
		if !g.in(60) && len(cols) > 0 {
			cols = append(cols, g.expr(sc, k, depth-1))
			continue
		}
		if g.in(50) {
			cols = append(cols, g.framed(sc, k))
			continue
		}
		over := "over ("
		if g.in(60) {
			over += "partition by " + g.columnOr(here, kind(g.below(int(kinds))))
			if r := here.relations[0]; r.key != nil && g.in(30) {
				over += ", " + r.key.ref
			}
		}
		total := over + g.orderAll(sc)
		switch {
		case k == kInt && g.in(60):
			cols = append(cols, g.pick("row_number() ", "rank() ", "dense_rank() ", "count(*) ", "ntile(3) ")+total+")::int")
		case k == kNumeric || k == kInt:
			frame := g.pick("", " rows between 1 preceding and 1 following", " rows unbounded preceding")
			cols = append(cols, "sum("+g.columnOr(here, k)+") "+total+frame+")::"+k.sqlType())
		default:
			cols = append(cols, g.pick("lag", "lead", "first_value", "last_value")+"("+g.columnOr(here, k)+") "+total+")")
		}
	}
	return "select " + strings.Join(cols, ", ") + rest
}

// selection is a whole SELECT statement; if its order is said, it is said fully.
func (g *author) selection() string {
	if g.in(25) {
		return g.flat()
	}
	with := ""
	if g.in(6) {
		with = "with recursive " + g.recursive()
	}
	for range []int{0, 0, 0, 0, 0, 1, 1, 2}[g.below(8)] {
		c := cte{g.alias("cte"), g.kinds(3)}
		q := g.query(nil, 1, c.kinds)
		with += map[bool]string{true: "with ", false: ", "}[with == ""] + named(c.name, len(c.kinds)) + " as " + g.pick("", "", "materialized ", "not materialized ") + "(" + q + ")"
		g.ctes = append(g.ctes, c)
	}
	if with != "" {
		with += " "
	}
	list := g.kinds(4)
	sql := with + g.query(nil, g.below(3), list)
	if g.in(60) {
		a := g.alias("x")
		if g.in(30) || strings.Contains(sql, "order by") || strings.Contains(sql, " limit ") || strings.Contains(sql, " offset ") {
			if with != "" {
				return sql
			}
			sql = "select * from (" + sql + ") " + named(a, len(list))
		}
		sql += positions(g, len(list))
		if g.in(50) {
			sql += g.limit()
		}
	}
	return sql
}
