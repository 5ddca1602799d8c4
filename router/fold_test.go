package router

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// foldedPlan is the plan that a cache with one entry for all lengths of a text's lists has for it; nil where there is none.
func foldedPlan(text string, env Env, cache map[string]*Template) *Template {
	var s sqlparse.Scanner
	sc := s.Fold([]byte(text))
	if !sc.Cacheable || len(sc.Folds) == 0 {
		return nil
	}
	t := cache[string(sc.Key)]
	if t == nil {
		t = PlanFolded([]byte(text), &sc, env)
		cache[string(sc.Key)] = t
	}
	if !t.Foldable() {
		return nil
	}
	return t.Unfold([]byte(text), &sc)
}

// foldShapes are statements with lists: {i}, {s}, {n}, {u} and {t} are lists of integers, strings, numbers behind a point, strings
// with a cast and times, {x} one constant, and {r:…} rows.
var foldShapes = []struct {
	text   string
	folded bool
}{
	{"SELECT * FROM users WHERE id IN ({i})", true},
	{"SELECT * FROM users WHERE id NOT IN ({i}) AND id = {x}", true},
	{"SELECT name, 'x', {x} FROM users u WHERE u.id IN ({i}) AND name IN ({s}) ORDER BY name LIMIT {x} OFFSET {x}", true},
	{"SELECT count(*), max(id) FROM users WHERE id IN ({i})", true},
	{"SELECT * FROM meetings WHERE room IN ({s})", true},
	{"SELECT * FROM meetings WHERE room IN ({u}) AND at IN ({t}) AND id > {x}", true},
	{"SELECT * FROM meetings m JOIN members b ON m.room = b.room WHERE m.room IN ({s}) AND b.age IN ({i})", true},
	{"SELECT * FROM pairs WHERE a IN ({i}) AND b IN ({i})", true},
	{"SELECT * FROM users WHERE id IN ({n})", true},
	{"SELECT * FROM users WHERE id IN ({s})", true},
	{"UPDATE users SET name = 'q' WHERE id IN ({i}) AND name <> {x}::text", true},
	{"DELETE FROM meetings WHERE room IN ({s}) RETURNING id, {x}", true},
	{"SELECT * FROM notes WHERE id IN ({i})", true},
	{"SELECT * FROM codes WHERE id IN ({i}) AND seen IN ({t})", true},
	{"UPDATE codes SET label = 'x' WHERE id IN ({i}) AND seen > 'now'", true},
	{"INSERT INTO users (id, name) VALUES {r:is}", true},
	{"INSERT INTO users VALUES {r:is} ON CONFLICT (id) DO UPDATE SET name = excluded.name || {x}::text RETURNING id, {x}", true},
	{"INSERT INTO users (name) VALUES {r:s} RETURNING *", true},
	{"INSERT INTO meetings (room, id) VALUES {r:si}", true},
	{"INSERT INTO meetings VALUES {r:sist}", true},
	{"INSERT INTO pairs (b, a, note) VALUES {r:iis}", true},
	{"INSERT INTO codes (id, label, seen) VALUES {r:ist}", true},
	{"INSERT INTO counters (id) VALUES {r:i}", true},
	{"INSERT INTO stamps (id) VALUES {r:i}", true},
	{"INSERT INTO notes (id, body) VALUES {r:is}", true},
	{"INSERT INTO touched VALUES {r:si}", true},
	{"SELECT * FROM users WHERE id = ANY (ARRAY[{i}])", true},
	{"SELECT * FROM users WHERE id = ANY (ARRAY[{i}]::bigint[]) AND name = ANY (ARRAY[{s}])", true},
	{"SELECT * FROM meetings WHERE room = ANY (ARRAY[{s}]::text[]) AND id = {x} AND doc ?| ARRAY[{s}]", true},
	{"SELECT * FROM meetings WHERE room = ANY (ARRAY[{u}]) AND at = ANY (ARRAY[{t}]::timestamptz[])", true},
	{"SELECT * FROM notes WHERE body <> ALL (ARRAY[{s}]) AND id < {x}", true},
	{"UPDATE pairs SET note = 'x' WHERE a = ANY (ARRAY[{i}]) AND b IN ({i}) RETURNING ARRAY[{i}], {x}", true},
	{"UPDATE pairs SET note = 'x' WHERE a = {x} AND b IN ({i})", true},
	{"SELECT u.* FROM users AS u WHERE u.id IN ({i}) AND name = {x}::text FOR UPDATE", true},
	{"UPDATE codes SET label = 'x' FROM codes c WHERE c.id = {x} AND codes.id IN ({i})", true},
	// Whether there is one value decides.
	{"UPDATE codes SET label = c.label FROM codes c WHERE c.id IN ({i})", false},
	{"UPDATE pairs SET a = 5 WHERE a = {x} AND b IN ({i})", false},
	{"UPDATE users SET id = 7 WHERE id IN ({i})", false},
	// Two lists that may both say where the rows are: which is shorter decides.
	{"SELECT * FROM users WHERE id IN ({i}) AND id IN ({i})", false},
	{"SELECT * FROM pairs WHERE a IN ({i}) AND b = {x} OR a = {x} AND b IN ({i})", false},
	{"SELECT * FROM users WHERE id IN ({i}) OR id = {x} OR id IN ({i})", false},
	// Their texts hold constants.
	{"SELECT id, id IN ({i}) FROM users ORDER BY 2", false},
	{"SELECT name, count(*) FROM users WHERE id IN ({i}) GROUP BY name", false},
	{"SELECT * FROM users u JOIN meetings m ON u.id = m.id WHERE u.id IN ({i})", false},
}

// listOfKind is n constants.
func listOfKind(r *rand.Rand, kind byte, n int, rows bool) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = constantOfKind(r, kind, rows)
	}
	return out
}

func constantOfKind(r *rand.Rand, kind byte, rows bool) string {
	if rows && r.IntN(6) == 0 {
		return []string{"NULL", "null", "Null"}[r.IntN(3)]
	}
	switch kind {
	case 'i':
		n := fmt.Sprint(r.IntN(1000))
		if rows && r.IntN(8) == 0 {
			n = fmt.Sprint(1<<33 + r.IntN(1000))
		}
		return []string{"", "", "-", "- "}[r.IntN(4)] + n
	case 'n':
		return fmt.Sprintf("%d.%d", r.IntN(10), r.IntN(3))
	case 's':
		return []string{"'a'", "'it''s'", `E'\'b\\'`, "$$c$$", "''", "'now'", "'d'\n 'e'"}[r.IntN(7)]
	case 'u':
		return []string{"'a'", "'bb'", "E'c'"}[r.IntN(3)] + "::text"
	}
	return []string{"'2020-01-01'", "'now'", "'today'", "E'2021-02-03 04:05:06'"}[r.IntN(4)]
}

// fill puts constants into a shape; NULLs among those of rows where nulls is set.
func fill(r *rand.Rand, shape string, nulls bool) string {
	var b strings.Builder
	for {
		head, rest, ok := strings.Cut(shape, "{")
		b.WriteString(head)
		if !ok {
			return b.String()
		}
		word, tail, _ := strings.Cut(rest, "}")
		shape = tail
		n := 2 + r.IntN(5)
		sep := []string{",", ", ", " ,\n\t"}[r.IntN(3)]
		switch {
		case word == "x":
			b.WriteString(fmt.Sprint(r.IntN(100)))
		case strings.HasPrefix(word, "r:"):
			rows := make([]string, n)
			for i := range rows {
				var cells []string
				for _, k := range word[2:] {
					cells = append(cells, constantOfKind(r, byte(k), nulls && i > 0))
				}
				rows[i] = "(" + strings.Join(cells, sep) + ")"
				if i > 0 && i == n-1 && nulls { // no column of NULLs alone
					rows[i] = "(" + strings.Join(firstKinds(r, word[2:]), ",") + ")"
				}
			}
			b.WriteString(strings.Join(rows, sep))
		default:
			b.WriteString(strings.Join(listOfKind(r, word[0], n, false), sep))
		}
	}
}

func firstKinds(r *rand.Rand, kinds string) (out []string) {
	for _, k := range kinds {
		out = append(out, constantOfKind(r, byte(k), false))
	}
	return out
}

// A plan made for lists of one length is, unfolded for others, the very plan that these texts get by themselves.
func TestFoldedPlansAreTheTextsOwn(t *testing.T) {
	env := foldEnv()
	r := rand.New(rand.NewPCG(11, 12))
	for _, shape := range foldShapes {
		cache := map[string]*Template{}
		folded := 0
		for range 150 {
			text := fill(r, shape.text, true)
			got := foldedPlan(text, env, cache)
			if got == nil {
				continue
			}
			folded++
			want := Plan(text, env)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\n got %s\nwant %s\n%+v\n%+v", text, summary(got, text), summary(want, text), got, want)
			}
		}
		if shape.folded != (folded > 0) || shape.folded && folded < 150 {
			t.Errorf("%s: %d of 150 are folded", shape.text, folded)
		}
	}
}

// Whatever stands in a statement: if its lists are folded, its plan is what it would be.
func TestFoldedGoldenPlans(t *testing.T) {
	env := foldEnv()
	folded := 0
	for _, text := range goldenStatements(t) {
		if got := foldedPlan(text, env, map[string]*Template{}); got != nil {
			folded++
			if want := Plan(text, env); !reflect.DeepEqual(got, want) {
				t.Errorf("%s\n got %s\nwant %s", text, summary(got, text), summary(want, text))
			}
		}
	}
	if folded < 5 {
		t.Errorf("only %d statements are folded", folded)
	}
}

// foldEnv is the fixture with tables whose prepared statements name shards.
func foldEnv() Env {
	env := fixture()
	ungranted(env)
	return env
}

func ungranted(env Env) {
	for _, tables := range env.Schema.Relations {
		for _, t := range tables {
			t.Ungranted = true
		}
	}
}

// listStart is what stands in front of a list's second constant.
var listStart = regexp.MustCompile(`(IN \(|VALUES )('[^']*'|-?[0-9.]+|\([^()]*\)), `)

// So are the plans of random statements for the same ones with longer lists.
func TestFoldedRandomPlans(t *testing.T) {
	env := exactEnv()
	ungranted(env)
	g := &sqlGen{r: rand.New(rand.NewPCG(3, 4))}
	folded := 0
	for range 3000 {
		text, _ := g.statement()
		if g.chance(2) {
			text, _ = g.write()
		}
		longer := listStart.ReplaceAllString(text, "${1}${2}, ${2}, ${2}, ")
		cache := map[string]*Template{}
		foldedPlan(text, env, cache)
		for _, text := range []string{longer, text} {
			if got := foldedPlan(text, env, cache); got != nil {
				folded++
				if want := Plan(text, env); !reflect.DeepEqual(got, want) {
					t.Fatalf("%s\n got %s\nwant %s\n%+v\n%+v", text, summary(got, text), summary(want, text), got, want)
				}
			}
		}
	}
	if folded < 100 {
		t.Errorf("only %d statements are folded", folded)
	}
}

// Unfold knows every field of a template that PlanFolded lets pass: a new one has to be thought of.
func TestUnfoldKnowsTemplates(t *testing.T) {
	for typ, fields := range map[reflect.Type]int{
		reflect.TypeFor[Template](): 47, reflect.TypeFor[Pruner](): 4, reflect.TypeFor[KeyValue](): 8, reflect.TypeFor[Scatter](): 7,
		reflect.TypeFor[CountValue](): 7, reflect.TypeFor[Insert](): 15, reflect.TypeFor[Row](): 3, reflect.TypeFor[Cell](): 7,
		reflect.TypeFor[ClockWords](): 2, reflect.TypeFor[Direct](): 3, reflect.TypeFor[Clock](): 5, reflect.TypeFor[Splice](): 4,
	} {
		if n := typ.NumField(); n != fields {
			t.Errorf("%s has %d fields, not %d: see that Unfold and unfolds are right for all of them", typ, n, fields)
		}
	}
}

func BenchmarkPlanInList(b *testing.B)     { benchmarkPlan(b, inListOf) }
func BenchmarkPlanInsertRows(b *testing.B) { benchmarkPlan(b, insertOf) }

func inListOf(n int) string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprint(i*7))
	}
	return "SELECT id, name FROM users WHERE id IN (" + strings.Join(ids, ", ") + ") ORDER BY name"
}

func insertOf(n int) string {
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf("('room %d', %d, '{\"a\": %d}', '2024-01-01')", i, i, i))
	}
	return "INSERT INTO meetings (room, id, doc, at) VALUES " + strings.Join(rows, ", ")
}

func benchmarkPlan(b *testing.B, textOf func(n int) string) {
	env := fixture()
	for _, n := range []int{2, 10, 100, 1000} {
		text := []byte(textOf(n))
		b.Run(fmt.Sprintf("parsed/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Plan(string(text), env)
			}
		})
		b.Run(fmt.Sprintf("folded/%d", n), func(b *testing.B) {
			var s sqlparse.Scanner
			sc := s.Fold(text)
			t := PlanFolded(text, &sc, env)
			b.ReportAllocs()
			for b.Loop() {
				sc := s.Fold(text)
				if t.Unfold(text, &sc) == nil {
					b.Fatal("not unfolded")
				}
			}
		})
	}
}
