package integration

import (
	"fmt"
	"strings"
)

// target chooses a table to write to.
func (g *author) target() randomTable {
	for i := range randomTables {
		t := randomTables[(g.below(len(randomTables))+i)%len(randomTables)]
		if t.write {
			return t
		}
	}
	return randomTables[0]
}

// writable lists the columns that a write may set.
var writable = randomColumns[1:]

// write is an INSERT, UPDATE, DELETE or MERGE, and the tables whose contents tell what it did.
func (g *author) write() (sql string, tables []string) {
	t := g.target()
	if g.in(45) {
		return g.rarerWrite(t)
	}
	switch g.below(10) {
	case 0, 1:
		sql = g.updateRows(t)
	case 2:
		sql = g.updateFrom(t)
	case 3:
		sql = g.deleteRows(t)
	case 4, 5:
		sql = g.insertValues(t)
	case 6, 7:
		sql = g.insertSelect(t)
	case 8:
		sql = g.merge(t)
	default:
		sql = g.withWrite(t)
	}
	return sql, []string{t.name}
}

// constantKey is a constant for k.
func (g *author) constantKey(t randomTable) string {
	n := 1 + g.below(40)
	return map[string]string{
		"g_text": fmt.Sprintf("'k%d'", n), "g_icu": fmt.Sprintf("'%c%d'", 'a'+n%12, n%3), "g_uuid": fmt.Sprintf("'00000000-0000-4000-8000-%012d'", n),
		"g_date": fmt.Sprintf("'2024-01-%02d'", 1+n%28), "g_tstz": fmt.Sprintf("'2024-03-31 %02d:00+00'", n%24), "g_numeric": fmt.Sprintf("%d.50", n),
	}[t.name] + map[bool]string{true: fmt.Sprint(n)}[t.keyKind == kInt]
}

func (g *author) nextID() int {
	g.lastID++
	return g.lastID
}

func (g *author) returning(a string) string {
	return g.pick("", "", " returning "+a+".id", " returning "+a+".*", " returning "+a+".k, "+a+".i + 1 as next, upper("+a+".s)")
}

func (g *author) columnsToSet() (names []string, list []kind) {
	for _, c := range writable {
		if g.in(30) {
			names, list = append(names, c.name), append(list, c.kind)
		}
	}
	if len(names) == 0 {
		return []string{"i"}, []kind{kInt}
	}
	return names, list
}

func (g *author) insertValues(t randomTable) string {
	names, list := g.columnsToSet()
	var rows []string
	for range 1 + g.below(4) {
		cells := []string{g.constantKey(t), fmt.Sprint(g.nextID())}
		for _, k := range list {
			if g.in(10) {
				cells = append(cells, g.scalar(&scope{}, k, 1))
				continue
			}
			cells = append(cells, g.literal(k))
		}
		rows = append(rows, "("+strings.Join(cells, ", ")+")")
	}
	return "insert into " + t.name + " (k, id, " + strings.Join(names, ", ") + ") values " + strings.Join(rows, ", ") + g.onConflict(t, len(rows) == 1) + g.returning(t.name)
}

// onConflict updates only where one statement cannot touch a row twice in an order of its own.
func (g *author) onConflict(t randomTable, single bool) string {
	key := map[bool]string{true: "k", false: "id"}[t.unique()]
	switch {
	case !t.unique() && t.name != "g_ref" || !g.in(60):
		return ""
	case single:
		return " on conflict (" + key + ") do update set i = coalesce(excluded.i, " + t.name + ".i) + 1, s = excluded.s" + g.pick("", " where "+t.name+".i > 1")
	case t.name == "g_ref":
		return " on conflict do nothing"
	default:
		return ""
	}
}

func (g *author) insertSelect(t randomTable) string {
	sc, from := g.from(nil, 1)
	names, list := g.columnsToSet()
	base := g.lastID + 1
	g.lastID += 1000
	number := "row_number() over (" + strings.TrimPrefix(g.orderAll(sc), " ") + ")"
	cells := []string{g.keyFrom(t, number), fmt.Sprintf("(%d + %s)::int", base, number)}
	for _, k := range list {
		cells = append(cells, g.expr(sc, k, 1))
	}
	return "insert into " + t.name + " (k, id, " + strings.Join(names, ", ") + ") select " + strings.Join(cells, ", ") + from + g.where(sc, 1) + g.returning(t.name)
}

// keyFrom makes keys that no row has, from numbers.
func (g *author) keyFrom(t randomTable, number string) string {
	n := fmt.Sprintf("(%d + %s)", 1000*(1+g.below(20)), number)
	switch t.keyKind {
	case kText, kNatural:
		return "'n' || " + n
	case kUUID:
		return "('00000000-0000-4000-8000-' || lpad(" + n + "::text, 12, '0'))::uuid"
	case kDate:
		return "date '2024-01-01' + " + n + "::int"
	case kStamp:
		return "timestamptz '2024-01-01 00:00+00' + " + n + " * interval '1 hour'"
	default:
		return n
	}
}

func (g *author) updateRows(t randomTable) string {
	a := "t0"
	sc := &scope{relations: []*relation{t.relation(a)}}
	names, list := g.columnsToSet()
	var sets []string
	for i, n := range names {
		sets = append(sets, n+" = "+g.expr(sc, list[i], 1+g.below(2)))
	}
	if g.in(12) && t.key != "" {
		switch t.keyKind {
		case kInt, kNumeric, kDate:
			sets = append(sets, "k = k + "+g.pick("100", "1000"))
		case kText, kNatural:
			sets = append(sets, "k = k || '"+g.pick("x", "yy")+"'")
		case kStamp:
			sets = append(sets, "k = k + interval '1 year'")
		}
	}
	return "update " + t.name + " " + a + " set " + strings.Join(sets, ", ") + g.where(sc, 2) + g.returning(a)
}

// updateFrom joins with something that has at most one row for each of the target's.
func (g *author) updateFrom(t randomTable) string {
	a := "t0"
	target := t.relation(a)
	k := []kind{kInt, kText, kDate}[g.below(3)]
	inner, from := g.from(nil, 0)
	source := "(select " + g.expr(&scope{relations: inner.relations}, k, 0) + " as c0, max(" + g.expr(&scope{relations: inner.relations}, kInt, 0) + ") as c1" + from + g.where(inner, 1) + " group by 1) y"
	if strings.Contains(source, "$") {
		source = "(select i as c0, max(id) as c1 from g_ref group by i) y"
		k = kInt
	}
	match := g.columnOr(&scope{relations: []*relation{target}}, k) + " = y.c0"
	if g.in(30) {
		return "delete from " + t.name + " " + a + " using " + source + " where " + match + " and y.c1 > 2" + g.returning(a)
	}
	return "update " + t.name + " " + a + " set i = y.c1 from " + source + " where " + match + g.returning(a)
}

func (g *author) deleteRows(t randomTable) string {
	sc := &scope{relations: []*relation{t.relation("t0")}}
	return "delete from " + t.name + " t0 where " + g.condition(sc, 2) + " and t0.id % 3 = " + g.pick("0", "1") + g.returning("t0")
}

// merge has a source with at most one row for each of the target's.
func (g *author) merge(t randomTable) string {
	base := g.lastID + 1
	g.lastID += 1000
	source := "(select i as c0, max(id)::int as c1 from " + randomTables[g.below(len(randomTables))].name + " where i is not null group by i) y"
	if g.in(40) {
		source = "(values (1, 2), (3, 4), (9, 9)) y(c0, c1)"
	}
	sql := "merge into " + t.name + " t0 using " + source + " on t0." + g.pick("id", "i") + " = y.c0" +
		" when matched" + g.pick("", " and t0.b") + " then " + g.pick("update set s = 'm' || y.c1, n = 2.50", "delete", "do nothing")
	if g.in(60) {
		sql += " when not matched then insert (k, id, i) values (" + g.keyFrom(t, "y.c0") + ", " + fmt.Sprint(base) + " + y.c0, y.c1)"
	}
	return sql
}

// withWrite reads what a write in WITH returns.
func (g *author) withWrite(t randomTable) string {
	inner := g.updateRows(t)
	if g.in(40) {
		inner = g.deleteRows(t)
	}
	inner, _, _ = strings.Cut(inner, " returning")
	return "with changed as (" + inner + " returning t0.id, t0.i, t0.s) select " +
		g.pick("count(*), sum(id) from changed", "i, count(*) from changed group by i", "id, i, s from changed", "c.id, t.s from changed c join g_int8 t on t.id = c.id")
}
