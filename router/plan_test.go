package router

import (
	"os"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// goldenStatements are the statements of the golden files.
func goldenStatements(tb testing.TB) []string {
	var out []string
	for _, file := range []string{"testdata/plans.txt", "testdata/refusals.txt"} {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, block := range strings.Split(string(data), "\n\n") {
			text, _, ok := strings.Cut(block, "----\n")
			if ok {
				out = append(out, text)
			}
		}
	}
	return out
}

// FuzzPlan holds what is true of every plan, whatever the text.
func FuzzPlan(f *testing.F) {
	for _, s := range goldenStatements(f) {
		f.Add(s)
	}
	f.Add("SELECT*FROM meetings ORDER BY 1")
	env := fixture()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		p := Plan(text, env)
		checkPlan(t, text, p)
	})
}

func checkPlan(t *testing.T, text string, p *Template) {
	t.Helper()
	if p == nil {
		t.Fatal("no plan")
	}
	if p.Refusal != nil && p.Refusal.Code == pgerr.InternalError {
		t.Fatalf("%q: %s", text, p.Refusal.Message)
	}
	if p.Kind != KindSyntax && (p.Kind == KindRefuse) != (p.Refusal != nil) {
		t.Errorf("%q: kind %d with refusal %v", text, p.Kind, p.Refusal)
	}
	if p.Kind == KindInvalid {
		t.Errorf("%q: no kind", text)
	}
	if p.Kind == KindShards && p.Scatter == nil && p.NoScatter == nil && p.Gather == nil && p.InsertQuery == nil && p.Prelude == nil && p.LockRows == nil && p.LockPick == nil {
		t.Errorf("%q: neither scatter nor a reason against it", text)
	}
	if p.Kind == KindShards && len(p.Prune) == 0 {
		t.Errorf("%q: nothing to prune", text)
	}
	for i, s := range p.Spans {
		if s.Start >= s.End || s.End > len(text) || i > 0 && s.Start < p.Spans[i-1].End {
			t.Errorf("%q: literal %d at %v", text, i, s)
		}
	}
	if p.Scatter == nil {
		return
	}
	last := 0
	for _, s := range p.Scatter.Splices {
		if s.Start < last || s.End < s.Start || s.End > len(text) {
			t.Fatalf("%q: splices %+v", text, p.Scatter.Splices)
		}
		last = s.End
	}
	v := scanValues(text)
	if p.NParams == 0 {
		if _, err := p.Backends(fixture().Schema.Map, 0, v); err != nil {
			t.Logf("%q: %v", text, err)
		}
	}
	sent, err := p.AppendScatterText(nil, v)
	if err != nil {
		return // a count that is no number
	}
	if _, err := sqlparse.Parse(string(sent)); err != nil {
		t.Errorf("%q: sends %q, which does not parse: %v", text, sent, err)
	}
}

func TestEveryGoldenPlanIsWhole(t *testing.T) {
	env := fixture()
	for _, s := range goldenStatements(t) {
		checkPlan(t, s, Plan(s, env))
	}
}

// A plan holds for every text with its key: literals of other lengths move what stands behind them.
func TestPlanHoldsForOtherLiterals(t *testing.T) {
	env := fixture()
	for _, c := range []struct{ planned, bound, backends, sends string }{
		{"SELECT * FROM users WHERE id = 7", "SELECT * FROM users WHERE id = 123456", "", ""},
		{"SELECT * FROM meetings WHERE room = 'a' AND doc @> '{}'", "SELECT * FROM meetings WHERE room = 'it''s' AND doc @> '{\"x\": 1}'", "", ""},
		{
			"SELECT id FROM meetings WHERE id > 1 ORDER BY at LIMIT 5 OFFSET 2", "SELECT id FROM meetings WHERE id > 1000 ORDER BY at LIMIT 50 OFFSET 20",
			"a b c", "SELECT id, (at) AS pleiad_sort_1 FROM meetings WHERE id > 1000 ORDER BY at LIMIT 70",
		},
		{
			"SELECT 'x', id FROM meetings /* a */ WHERE id > 1 LIMIT 1", "SELECT 'longer', id FROM meetings /* comment */ WHERE id > 12 LIMIT 10",
			"a b c", "SELECT 'longer', id FROM meetings /* comment */ WHERE id > 12 LIMIT 10",
		},
	} {
		p := Plan(c.planned, env)
		fresh := Plan(c.bound, env)
		got, want := backendsText(p, c.bound), backendsText(fresh, c.bound)
		if got != want || c.backends != "" && got != c.backends {
			t.Errorf("%s: runs on %s as planned for another text, %s else", c.bound, got, want)
		}
		if c.sends == "" {
			continue
		}
		sent, err := p.AppendScatterText(nil, scanValues(c.bound))
		if err != nil || string(sent) != c.sends {
			t.Errorf("%s: sends %s (%v)", c.bound, sent, err)
		}
	}
}

// pg_catalog named behind another schema lets that one's = operator be meant.
func TestShadowedOperatorsProveNothing(t *testing.T) {
	env := fixture()
	env.Path = []string{"app", "public", "pg_catalog"}
	p := Plan("SELECT * FROM meetings m JOIN members b ON m.room = b.room WHERE m.room = 'a'", env)
	if !p.Prune[0].All || p.Scatter != nil {
		t.Errorf("plan is %s", summary(p, ""))
	}
}

func TestTemporaryAndCatalogNamesHideTables(t *testing.T) {
	env := fixture()
	env.Temp = map[string]bool{"meetings": true}
	if p := Plan("SELECT * FROM meetings", env); p.Kind != KindHome {
		t.Errorf("temporary table: kind %d", p.Kind)
	}
	if p := Plan("SELECT * FROM public.meetings", env); p.Kind != KindShards {
		t.Errorf("qualified name: kind %d", p.Kind)
	}
	env = fixture()
	env.Schema.Relations["public"]["pg_class"] = env.Schema.Relations["public"]["meetings"]
	if p := Plan("SELECT * FROM pg_class", env); p.Kind != KindHome {
		t.Errorf("catalog before public: kind %d", p.Kind)
	}
	env.Path = []string{"public", "pg_catalog"}
	if p := Plan("SELECT * FROM pg_class", env); p.Kind != KindShards {
		t.Errorf("public before catalog: kind %d", p.Kind)
	}
}

func TestHugeStatements(t *testing.T) {
	env := fixture()
	rows := "INSERT INTO members (room, age) VALUES ('a', 1)" + strings.Repeat(", ('b', 2)", 20000)
	if p := Plan(rows, env); p.Kind != KindInsert || len(p.Insert.Rows) != 20001 {
		t.Errorf("rows: kind %d %v", p.Kind, p.Refusal)
	}
	in := "SELECT * FROM users WHERE id IN (1" + strings.Repeat(", 2", 20000) + ")"
	if p := Plan(in, env); p.Kind != KindShards || !p.Prune[0].All {
		t.Errorf("in: kind %d", p.Kind)
	}
	if p := Plan("SELECT "+strings.Repeat("(", 1<<20), env); p.Kind != KindRefuse && p.Kind != KindSyntax {
		t.Errorf("parentheses: kind %d", p.Kind)
	}
}

func BenchmarkPlanPoint(b *testing.B) {
	env := fixture()
	for b.Loop() {
		Plan("SELECT * FROM meetings WHERE room = 'a' AND id = 7", env)
	}
}

func BenchmarkBackendsPoint(b *testing.B) {
	env := fixture()
	const text = "SELECT * FROM meetings WHERE room = 'a' AND id = 7"
	p, v := Plan(text, env), scanValues(text)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Backends(env.Schema.Map, 0, v); err != nil {
			b.Fatal(err)
		}
	}
}

// TestShiftIsTheSumOfWhatLiteralsGrew compares Shift with adding up, for every offset outside of literals.
func TestShiftIsTheSumOfWhatLiteralsGrew(t *testing.T) {
	tmpl := &Template{Spans: []Span{{3, 5}, {5, 6}, {9, 9}, {20, 30}}}
	lits := []Span{{3, 4}, {4, 10}, {13, 15}, {26, 26}}
	slow := func(p int) int {
		d := 0
		for i, s := range tmpl.Spans {
			if s.End <= p {
				d += lits[i].End - lits[i].Start - (s.End - s.Start)
			}
		}
		return p + d
	}
	for p := range 40 {
		inside := false
		for _, s := range tmpl.Spans {
			inside = inside || p > s.Start && p < s.End
		}
		if got := tmpl.Shift(p, lits); !inside && got != slow(p) {
			t.Errorf("Shift(%d) = %d, want %d", p, got, slow(p))
		}
	}
	if got := (&Template{}).Shift(7, nil); got != 7 {
		t.Errorf("without literals: %d", got)
	}
}
