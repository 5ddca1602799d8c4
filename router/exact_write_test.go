package router

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// write is a random UPDATE, DELETE, INSERT … SELECT or MERGE of table.
func (g *sqlGen) write() (text, table string) {
	g.alias = 0
	d := exactTables[g.r.IntN(len(exactTables))]
	if g.chance(2) {
		d = exactTables[g.r.IntN(2)]
	}
	target := item{"tt", d.cols}
	last := d.cols[len(d.cols)-1]
	set := last + " = " + g.pick(last+" + 1", "tt."+d.cols[0]+" * 2", "9", "(SELECT max(z) FROM r1)")
	switch g.r.IntN(6) {
	case 0, 1:
		from, items := "", []item{target}
		if g.chance(2) {
			s, more := g.from(1, nil, nil)
			from, items = s, append(items, more...)
		}
		return "UPDATE " + d.name + " tt SET " + set + from + g.where(1, items, nil, nil), d.name
	case 2:
		using, items := "", []item{target}
		if g.chance(2) {
			s, more := g.from(1, nil, nil)
			using, items = " USING"+strings.TrimPrefix(s, " FROM"), append(items, more...)
		}
		return "DELETE FROM " + d.name + " tt" + using + g.where(1, items, nil, nil), d.name
	case 3, 4:
		cols := slices.Clone(d.cols)
		if g.chance(4) {
			g.r.Shuffle(len(cols), func(i, j int) { cols[i], cols[j] = cols[j], cols[i] })
		}
		for {
			sub, n := g.query(1, nil, nil)
			if n <= len(cols) {
				return fmt.Sprintf("INSERT INTO %s (%s) %s", d.name, strings.Join(cols[:n], ", "), sub), d.name
			}
		}
	}
	src, items := g.source(1, nil, nil, nil)
	s := items[0]
	on := "tt." + d.cols[0] + " = " + s.alias + "." + s.cols[0]
	if g.chance(2) {
		on += " AND " + g.condition([]item{target, s})
	}
	if g.chance(2) {
		on += " AND " + s.alias + "." + s.cols[0] + " = " + g.constant()
	}
	text = "MERGE INTO " + d.name + " tt USING " + src + " ON " + on
	if !g.chance(3) {
		text += " WHEN MATCHED THEN " + g.pick("UPDATE SET "+set, "DELETE")
	}
	if strings.HasSuffix(text, on) || g.chance(2) {
		text += fmt.Sprintf(" WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s.%s)", d.cols[0], s.alias, g.pick(s.cols...))
	}
	return text, d.name
}

// after is what a table holds behind a statement, which is undone. An error comes as its SQLSTATE.
func after(t *testing.T, conn *pgconn.PgConn, text, table string) ([][]string, string) {
	must(t, conn, "BEGIN")
	code := ""
	if text != "" {
		_, code = rows(t.Context(), conn, text)
	}
	var out [][]string
	if code == "" {
		out, code = rows(t.Context(), conn, "TABLE "+table)
		sortRows(out)
	}
	must(t, conn, "ROLLBACK")
	return out, code
}

// runWrite runs a write as planned and gives the table's rows on all backends together; for a reference table, those of
// one, once all are found equal.
func (db *exactDB) runWrite(t *testing.T, text, table string) (out [][]string, how string, ok bool) {
	p := Plan(text, db.env)
	if p.Kind != KindShards && p.Kind != KindEverywhere {
		return nil, "", false
	}
	set, err := p.Backends(db.env.Schema.Map, 0, scanValues(text))
	if err != nil {
		return nil, "", false
	}
	_, single := set.Single()
	how = "one"
	if !single {
		how = "several"
	}
	if !single && p.Kind == KindShards && p.Scatter == nil {
		return nil, "", false
	}
	for b, part := range db.parts {
		run := text
		if !set.Has(uint32(b)) {
			run = ""
		}
		got, code := after(t, part, run, table)
		if code != "" {
			t.Fatalf("%s: backend answers %s\nplan %s", text, code, summary(p, text))
		}
		if p.Kind == KindEverywhere {
			how = "everywhere"
			if b > 0 && !slices.EqualFunc(got, out, slices.Equal[[]string]) {
				t.Fatalf("%s: copies differ: %v and %v", text, out, got)
			}
			out = got
			continue
		}
		out = append(out, got...)
	}
	sortRows(out)
	return out, how, true
}

// TestExactWrites is TestExact for statements that write.
func TestExactWrites(t *testing.T) {
	db := openExact(t)
	seed, count := uint64(1), 1500
	if s, err := strconv.ParseUint(os.Getenv("PLEIAD_SEED"), 10, 64); err == nil {
		seed = s
	}
	if n, err := strconv.Atoi(os.Getenv("PLEIAD_STATEMENTS")); err == nil {
		count = n
	} else if testing.Short() {
		count /= 10
	}
	g := &sqlGen{r: rand.New(rand.NewPCG(seed, 8))}
	how := map[string]int{}
	for range count {
		text, table := g.write()
		want, code := after(t, db.whole, text, table)
		if code != "" {
			if code == "42601" {
				t.Fatalf("the generator wrote %s", text)
			}
			how["invalid "+code]++
			continue
		}
		got, path, ok := db.runWrite(t, text, table)
		if !ok {
			how["refused"]++
			continue
		}
		how[path]++
		if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Fatalf("seed %d: %s\nplan %s\ngot  %v\nwant %v", seed, text, summary(Plan(text, db.env), text), got, want)
		}
	}
	t.Logf("seed %d: %v", seed, how)
	if how["several"] < count/50 || how["one"] < count/50 || how["everywhere"] < count/50 {
		t.Errorf("too few statements prove anything: %v", how)
	}
}
