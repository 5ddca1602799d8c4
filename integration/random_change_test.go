package integration

import (
	"fmt"
	"strings"
)

// rarerWrite are writes beside those of write, and what they write to.
func (g *author) rarerWrite(t randomTable) (sql string, tables []string) {
	tables = []string{t.name}
	switch g.below(9) {
	case 0, 1:
		if t.unique() || t.name == "g_ref" {
			return g.insertGrouped(t), tables
		}
		return g.updateJoined(t), tables
	case 2, 3:
		return g.updateJoined(t), tables
	case 4:
		return g.deleteJoined(t), tables
	case 5:
		return g.updateRow(t), tables
	case 6, 7:
		return g.mergeTables(t), tables
	default:
		return g.withWrites(t)
	}
}

// storedKey is the key that the first rows have for a number.
func (t randomTable) storedKey(n string) string {
	switch t.name {
	case "g_text":
		return "'k' || " + n
	case "g_icu":
		return "chr(96 + " + n + " % 26) || " + n + " % 2"
	case "g_uuid":
		return "('00000000-0000-4000-8000-' || lpad(" + n + "::text, 12, '0'))::uuid"
	case "g_date":
		return "date '2024-01-01' + " + n
	case "g_tstz":
		return "timestamptz '2024-03-30 22:00+00' + " + n + " * interval '1 hour'"
	case "g_numeric":
		return n + " * 0.50"
	case "g_int8":
		return n + " * 3"
	default:
		return n
	}
}

// groupedSource has one row for each of its numbers c0, between 0 and 25, with c1 and c2.
func (g *author) groupedSource(a string) string {
	sc, from := g.from(nil, 1)
	return "(select q.c0, " + g.pick("max", "min") + "(q.c1)::int as c1, max(q.c2) as c2 from (select " +
		g.expr(sc, kInt, 1) + " as c0, " + g.expr(sc, kInt, 1) + " as c1, " + g.expr(sc, kText, 1) + " as c2" + from + g.where(sc, 1) +
		") q where q.c0 between 0 and 25 group by q.c0) " + a
}

// insertGrouped meets each row at most once.
func (g *author) insertGrouped(t randomTable) string {
	base := g.lastID + 1
	g.lastID += 1000
	key, id := "k", fmt.Sprint(base, " + y.c0")
	if t.name == "g_ref" {
		key, id = "id", "y.c0"
	}
	sql := "insert into " + t.name + g.pick("", " as t0") + " (k, id, i, s) "
	name := t.name
	if strings.Contains(sql, " as t0") {
		name = "t0"
	}
	sql += "select " + t.storedKey("y.c0") + ", " + id + ", y.c1, y.c2 from " + g.groupedSource("y")
	switch g.below(4) {
	case 0:
		sql += " on conflict (" + key + ") do nothing"
	case 1:
		sql += " on conflict do nothing"
	case 2:
		sql += " on conflict (" + key + ") do update set (i, s) = (excluded.i, " + name + ".s || excluded.s)"
	default:
		sql += " on conflict (" + key + ") do update set i = coalesce(excluded.i, 0) + " + name + ".id % 7, m = 'mid' where " + name + ".i is distinct from 2"
	}
	return sql + g.returning(name)
}

// single is something in FROM with at most one row for each id of t0.
func (g *author) single() (*scope, string) {
	sc := &scope{}
	first, text := g.stored()
	sc.relations = append(sc.relations, first)
	if g.in(30) {
		second, item := g.stored()
		sc.relations = append(sc.relations, second)
		text += g.pick(" join ", " left join ") + item + " on " + second.identity[0] + " = " + first.identity[0]
	}
	return sc, text
}

// stored is a table, not a view.
func (g *author) stored() (*relation, string) {
	t := randomTables[g.below(len(randomTables))]
	a := g.alias("t")
	return t.relation(a), t.name + " " + a
}

// updateJoined joins the target with tables by ids, which are no keys.
func (g *author) updateJoined(t randomTable) string {
	target := t.relation("t0")
	sc, from := g.single()
	match := sc.relations[0].identity[0] + " = t0.id"
	sc.relations = append(sc.relations, target)
	names, list := g.columnsToSet()
	var sets []string
	for i, n := range names {
		sets = append(sets, n+" = "+g.expr(sc, list[i], 1))
	}
	if g.in(40) {
		match += " and " + g.condition(sc, 1)
	}
	a := strings.TrimSuffix(sc.relations[0].identity[0], ".id")
	return "update " + t.name + " t0 set " + strings.Join(sets, ", ") + " from " + from + " where " + match +
		g.pick("", " returning t0.*", " returning t0.id, "+a+".s", " returning "+a+".*, t0.i")
}

// deleteJoined may find several rows for one of the target's: it does not tell which.
func (g *author) deleteJoined(t randomTable) string {
	target := t.relation("t0")
	sc, from := g.from(nil, 1)
	match := g.equality([]*relation{target}, sc.relations[0])
	all := &scope{relations: append(append([]*relation(nil), sc.relations...), target)}
	if g.in(50) {
		match += " and " + g.condition(all, 1)
	}
	return "delete from " + t.name + " t0 using " + strings.TrimPrefix(from, " from ") + " where " + match + " and t0.id % 2 = 0" + g.returning("t0")
}

// updateRow takes several columns from one subquery.
func (g *author) updateRow(t randomTable) string {
	sc := &scope{relations: []*relation{t.relation("t0")}}
	g.nesting++
	inner, from := g.from(sc, 0)
	from += " where " + g.equality(sc.relations, inner.relations[0])
	row := "(select " + g.aggregate(inner, kInt, 1) + ", " + g.aggregate(inner, kText, 1) + ", " + g.aggregate(inner, kMood, 0) + from + ")"
	g.nesting--
	return "update " + t.name + " t0 set (i, s, m) = " + row + g.where(sc, 1) + g.returning("t0")
}

// mergeTables has several WHENs, and a source with at most one row for each of the target's.
func (g *author) mergeTables(t randomTable) string {
	base := g.lastID + 1
	g.lastID += 1000
	target := t.relation("t0")
	with, source, on, number, one, two := "", "", "t0.id = y.id", "y.id", "y.i", "y.s"
	switch g.below(3) {
	case 0:
		source = randomTables[g.below(len(randomTables))].name + " y"
	case 1:
		source, number, one, two = g.groupedSource("y"), "y.c0", "y.c1", "y.c2"
		on = "t0.id = y.c0"
		if t.unique() {
			on = g.pick(on, "t0.k = "+t.storedKey("y.c0"))
		}
	default:
		with = "with y as " + strings.TrimSuffix(g.groupedSource(""), " ") + " "
		source, on, number, one, two = "y", "t0.id = y.c0", "y.c0", "y.c1", "y.c2"
	}
	sc := &scope{relations: []*relation{target, {columns: []column{{number, kInt}, {one, kInt}, {two, kText}}}}}
	sql := with + "merge into " + t.name + " t0 using " + source + " on " + on
	if g.in(50) {
		sql += " when matched and " + g.condition(sc, 0) + " then " + g.pick("delete", "do nothing", "update set s = "+two+", i = t0.i + "+one)
	}
	sql += " when matched then " + g.pick("update set (i, s) = ("+one+", t0.s || "+two+")", "delete", "update set m = 'high', ar = array["+one+", t0.i]")
	if g.in(60) {
		if g.in(30) {
			sql += " when not matched and " + one + " > 2 then do nothing"
		}
		sql += " when not matched and " + number + " between 0 and 25 then insert (k, id, i, s) values (" + g.pick(g.keyFrom(t, number), t.storedKey(number)) +
			", " + fmt.Sprint(base, " + ", number) + ", " + one + ", " + two + ")"
	}
	return sql
}

// withWrites has two writes, of two tables, each of which sees what was there before.
func (g *author) withWrites(t randomTable) (string, []string) {
	other := g.target()
	if other.name == t.name {
		return g.withWrite(t), []string{t.name}
	}
	tables := []string{t.name, other.name}
	changed := func(t randomTable) string {
		var sql string
		switch g.below(3) {
		case 0:
			sql = g.updateRows(t)
		case 1:
			sql = g.deleteRows(t)
		default:
			sql = g.updateJoined(t)
		}
		sql, _, _ = strings.Cut(sql, " returning")
		return sql + " returning t0.id, t0.i, t0.s"
	}
	base := g.lastID + 1
	g.lastID += 1000
	switch g.below(3) {
	case 0:
		return "with w1 as (" + changed(t) + "), w2 as (" + changed(other) + ") select " +
			g.pick("* from w1 full join w2 using (id)", "w1.i, count(w2.id) from w1, w2 group by 1", "count(*) from (select id from w1 union all select id from w2) u",
				"w1.*, t.* from w1 left join "+other.name+" t on t.id = w1.id"), tables
	case 1:
		number := "row_number() over (order by w1.id)"
		return "with w1 as (" + changed(t) + ") insert into " + other.name + " (k, id, i, s) select " + g.keyFrom(other, number) +
			fmt.Sprintf(", (%d + %s)::int, w1.i, w1.s from w1", base, number) + g.pick("", " where w1.i > 1") + g.returning(other.name), tables
	default:
		return "with w1 as (" + changed(t) + ") update " + other.name + " t0 set i = w1.i + 100, s = w1.s from w1 where w1.id = t0.id" + g.pick("", " returning t0.id, t0.i, w1.s"), tables
	}
}
