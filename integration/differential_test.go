package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestDifferentialGenerated makes statements by chance that pleiad should route or scatter and compares
// each answer with PostgreSQL's. PLEIAD_TEST_SEED and PLEIAD_TEST_STATEMENTS choose others and more; a
// failure names the seed, and a seed that failed once belongs into differentialSeeds.
func TestDifferentialGenerated(t *testing.T) {
	t.Parallel()
	seeds, count := differentialSeeds, 400
	if s := os.Getenv("PLEIAD_TEST_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("PLEIAD_TEST_SEED: %v", err)
		}
		seeds = []uint64{seed}
	}
	if n := os.Getenv("PLEIAD_TEST_STATEMENTS"); n != "" {
		var err error
		if count, err = strconv.Atoi(n); err != nil {
			t.Fatalf("PLEIAD_TEST_STATEMENTS: %v", err)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := newSQLRun(t)
			// A refusal is no fault here, but must be rare: these shapes are among those that are served.
			r.anyRefusal = true
			g := &generator{rand.New(rand.NewPCG(seed, seed))}
			for i, sql := range generatorTables {
				if r.judge(&statement{sql: sql, line: -i - 1}, 0) != verdictIdentical {
					t.Fatalf("%s: not made alike", sql)
				}
			}
			for i := range count {
				if r.judge(&statement{sql: g.statement(), line: i, compare: compareCode}, i) == verdictWrong && r.wrong > 5 {
					t.Fatalf("seed %d: more than five wrong answers", seed)
				}
			}
			t.Logf("seed %d: %d identical, %d refused, %d wrong", seed, r.identical, r.refused, r.wrong)
			if r.refused > count/10 {
				t.Errorf("seed %d: %d of %d statements were refused", seed, r.refused, count)
			}
		})
	}
}

var differentialSeeds = []uint64{1, 2, 3}

var generatorTables = []string{
	`create table t (k int primary key, a int, b text collate "C", c text, d date, n numeric(8,2), j jsonb, f bool) partition by hash (k)`,
	`create table u (k int, s int, v text collate "C", primary key (k, s)) partition by hash (k)`,
	`create table w (x text collate "C", y int, a int, v text, primary key (x, y)) partition by hash (x, y)`,
	`create table r (a int primary key, name text collate "C") with (pleiad.reference)`,
	`create table l (k int primary key, a int, b text)`,
	`insert into r values (0, 'zero'), (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')`,
}

// generator makes statements. Rows it orders are ordered fully, by a key at the end.
type generator struct{ *rand.Rand }

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) key() string { return strconv.Itoa(g.IntN(60)) }

func (g *generator) text() string {
	return "'" + g.pick("a", "b", "ab", "A", "ä", "", "z''z", "日本", " ", "a b") + "'"
}

func (g *generator) statement() string {
	switch g.IntN(14) {
	case 0, 1, 2:
		return g.insert()
	case 3:
		return g.update()
	case 4:
		return g.delete()
	case 5:
		return g.joined()
	case 6:
		return g.composite()
	case 7:
		return g.local()
	default:
		return g.selection()
	}
}

// value is an expression for a column of t, NULL at times.
func (g *generator) value(column string) string {
	if column != "k" && g.chance(15) {
		return "null"
	}
	switch column {
	case "k":
		return g.key()
	case "a":
		return g.pick(strconv.Itoa(g.IntN(6)), "1 + 1", "-3")
	case "b", "c":
		return g.text()
	case "d":
		return fmt.Sprintf("'2024-0%d-1%d'", 1+g.IntN(9), g.IntN(10))
	case "n":
		return g.pick("1.5", "-2.25", "0", "1e3", fmt.Sprint(g.IntN(100), ".", g.IntN(100)))
	case "j":
		return g.pick(`'{"a": 1}'`, `'[1, "x"]'`, `'null'`, `'3'`, fmt.Sprintf(`'{"n": %d, "s": "v"}'`, g.IntN(9)))
	default:
		return g.pick("true", "false")
	}
}

var generatorColumns = []string{"a", "b", "c", "d", "n", "j", "f"}

func (g *generator) insert() string {
	columns := []string{"k"}
	for _, c := range generatorColumns {
		if g.chance(60) {
			columns = append(columns, c)
		}
	}
	var rows []string
	for range 1 + g.IntN(5) {
		var cells []string
		for _, c := range columns {
			cells = append(cells, g.value(c))
		}
		rows = append(rows, "("+strings.Join(cells, ", ")+")")
	}
	sql := fmt.Sprintf("insert into t (%s) values %s", strings.Join(columns, ", "), strings.Join(rows, ", "))
	switch {
	case g.chance(40):
		sql += " on conflict (k) do update set a = coalesce(excluded.a, t.a), b = excluded.b"
	case g.chance(60):
		sql += " on conflict do nothing"
	}
	return sql + g.returning()
}

func (g *generator) returning() string {
	return g.pick("", "", " returning k", " returning *", " returning k, a + 1, upper(b)")
}

func (g *generator) update() string {
	set := g.pick("a = a + 1", "b = b || 'x'", "a = "+g.value("a"), "c = "+g.value("c")+", f = not f", "j = "+g.value("j"), "(a, b) = ("+g.value("a")+", "+g.value("b")+")")
	return "update t set " + set + g.where(true) + g.returning()
}

func (g *generator) delete() string {
	return "delete from t where " + g.predicate() + " and " + g.predicate() + g.returning()
}

// where is a condition or nothing.
func (g *generator) where(sometimes bool) string {
	if sometimes && g.chance(20) {
		return ""
	}
	return " where " + g.condition(2)
}

func (g *generator) condition(depth int) string {
	if depth == 0 || g.chance(45) {
		return g.predicate()
	}
	left, right := g.condition(depth-1), g.condition(depth-1)
	switch g.IntN(6) {
	case 0, 1:
		return "(" + left + " or " + right + ")"
	case 2:
		return "not (" + left + ")"
	default:
		return left + " and " + right
	}
}

func (g *generator) predicate() string {
	switch g.IntN(16) {
	case 0, 1, 2:
		return "k = " + g.key()
	case 3:
		return fmt.Sprintf("k in (%s, %s, %s)", g.key(), g.key(), g.pick(g.key(), "null"))
	case 4:
		return fmt.Sprintf("k = any('{%s,%s}')", g.key(), g.key())
	case 5:
		return "k " + g.pick("<", ">", "<=", ">=", "<>") + " " + g.key()
	case 6:
		return fmt.Sprintf("k between %d and %d", g.IntN(30), 30+g.IntN(30))
	case 7:
		return "a = " + g.value("a")
	case 8:
		return "a is " + g.pick("null", "not null")
	case 9:
		return "b " + g.pick("=", "<", ">=", "like") + " " + g.text()
	case 10:
		return "c in (" + g.text() + ", " + g.text() + ")"
	case 11:
		return "j @> '{\"a\": 1}'"
	case 12:
		return "d > '2024-05-01'"
	case 13:
		return "(k, a) = (" + g.key() + ", 1)"
	case 14:
		return "n > 1"
	default:
		return g.pick("f", "f is true", "f is not false", "k % 3 = 1", "length(b) > 1", "true", "exists (select from r where r.a = t.a)")
	}
}

func (g *generator) selection() string {
	list := g.pick("*", "k", "k, a, b", "b, n", "a, k + 1 as next, upper(c)", "t.*", "j, d", "k, j ->> 'n', f", "1, 'x', k", "n, a as k")
	return "select " + list + " from t" + g.where(true) + g.order()
}

// order ends with the key, so that no two rows are equal; the name k means the column, not an alias.
func (g *generator) order() string {
	if g.chance(25) {
		return ""
	}
	var keys []string
	for range g.IntN(3) {
		keys = append(keys, g.pick("t.a", "b", "c", "d", "n", "f", "t.a % 2", "abs(t.a)", "length(b)", "t.k % 5", "-n", "coalesce(t.a, 0)")+
			g.pick("", " desc", " asc", " nulls first", " desc nulls last"))
	}
	sql := " order by " + strings.Join(append(keys, "t.k"+g.pick("", " desc")), ", ")
	if g.chance(40) {
		sql += fmt.Sprint(" limit ", g.IntN(12))
	}
	if g.chance(25) {
		sql += fmt.Sprint(" offset ", g.IntN(8))
	}
	return sql
}

func (g *generator) joined() string {
	if g.chance(30) {
		return fmt.Sprintf("insert into u values (%s, %d, %s), (%s, %d, %s) on conflict do nothing", g.key(), g.IntN(4), g.text(), g.key(), g.IntN(4), g.text())
	}
	from := g.pick("t join u on u.k = t.k", "t join u using (k)", "u left join t on t.k = u.k and t.a > 1", "t left join u on u.k = t.k", "t join r on r.a = t.a", "t left join r using (a)", "t, u where t.k = u.k")
	where := " where "
	if strings.Contains(from, "where") {
		where = " and "
	}
	condition := g.pick("t.k = "+g.key(), "t.k in ("+g.key()+", "+g.key()+")", "t.k > 20", "t.b is not null", "true")
	list, order := "t.k, t.b", "t.k, t.b"
	switch {
	case strings.Contains(from, "r "):
		list, order = "t.k, r.name, t.a", "t.k"
	case strings.Contains(from, "u"):
		list, order = "t.k, u.s, u.v, t.a", "t.k, u.k, u.s"
	}
	if strings.Contains(from, "using (a)") {
		list = "t.k, r.name"
	}
	if strings.Contains(from, "using (k)") {
		order = "t.k, u.s"
	}
	return "select " + list + " from " + from + where + condition + " order by " + order + g.pick("", " limit 5")
}

func (g *generator) composite() string {
	x, y := g.text(), strconv.Itoa(g.IntN(5))
	switch g.IntN(6) {
	case 0, 1:
		return fmt.Sprintf("insert into w values (%s, %s, 1, 'v'), (%s, %d, 2, null) on conflict (x, y) do update set a = w.a + 1%s", x, y, g.text(), 5+g.IntN(5), g.pick("", " returning *"))
	case 2:
		return fmt.Sprintf("update w set v = 'u' where x = %s and y = %s returning *", x, y)
	case 3:
		return fmt.Sprintf("delete from w where (x, y) = (%s, %s)", x, y)
	case 4:
		return fmt.Sprintf("select * from w where (x, y) in ((%s, %s), (%s, %d)) order by x, y", x, y, g.text(), g.IntN(9))
	default:
		return fmt.Sprintf("select y, v from w where x = %s%s order by y", x, g.pick("", " and y in (1, 2)", " and a > 1"))
	}
}

func (g *generator) local() string {
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("insert into l values (%s, %s, %s) on conflict (k) do update set a = excluded.a", g.key(), g.value("a"), g.value("b"))
	case 1:
		return "select a, count(*), max(b) from l group by a order by a nulls first"
	case 2:
		return "select l.k, r.name from l left join r using (a) order by l.k"
	default:
		return "update l set b = b || '!' where a = 1 returning k"
	}
}
