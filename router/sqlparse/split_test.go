package sqlparse

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

func split(text string) []string {
	var out []string
	for _, s := range Split(nil, []byte(text)) {
		out = append(out, text[s.Start:s.End])
	}
	return out
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" ; ;; -- x\n;/* ; */", nil},
		{"-- only a note", nil},
		{" SELECT 1 ", []string{"SELECT 1"}},
		{"SELECT 1; ", []string{"SELECT 1"}},
		{"SELECT 1;SELECT ';' ; /* a */ SELECT 3", []string{"SELECT 1", "SELECT ';'", "/* a */ SELECT 3"}},
		{"SELECT $$;$$; SELECT \";\" -- ;", []string{"SELECT $$;$$", "SELECT \";\" -- ;"}},
		{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", []string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"}},
		{"CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END; END; SELECT 4",
			[]string{"CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END; END", "SELECT 4"}},
		{"create or replace procedure p() begin atomic insert into t values (1); end; SELECT 4",
			[]string{"create or replace procedure p() begin atomic insert into t values (1); end", "SELECT 4"}},
		{"CREATE PROCEDURE p() BEGIN ATOMIC SELECT a AS end, b.case FROM b; END; SELECT 4",
			[]string{"CREATE PROCEDURE p() BEGIN ATOMIC SELECT a AS end, b.case FROM b; END", "SELECT 4"}},
		{"CREATE FUNCTION f() RETURNS int RETURN 1; BEGIN; END", []string{"CREATE FUNCTION f() RETURNS int RETURN 1", "BEGIN", "END"}},
		{"BEGIN; SELECT CASE WHEN a THEN b END; END", []string{"BEGIN", "SELECT CASE WHEN a THEN b END", "END"}},
		{"CREATE TABLE function (begin atomic); SELECT 1", []string{"CREATE TABLE function (begin atomic)", "SELECT 1"}},
		{"SELECT (1; SELECT 2", []string{"SELECT (1; SELECT 2"}},
		{"SELECT 1); SELECT 2", []string{"SELECT 1)", "SELECT 2"}},
	} {
		if got := split(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q:\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

// splitDisagreement compares with the statements the parser finds, when it accepts the text.
func splitDisagreement(text string) (got, want []string, differ bool) {
	tree, err := pg_query.Parse(text)
	if err != nil {
		return nil, nil, false
	}
	for _, s := range tree.Stmts {
		end := len(text)
		if s.StmtLen > 0 {
			end = int(s.StmtLocation + s.StmtLen)
		}
		sp := trim([]byte(text), int(s.StmtLocation), end)
		want = append(want, text[sp.Start:sp.End])
	}
	got = split(text)
	if len(got) != len(want) {
		return got, want, true
	}
	for i := range got {
		// The parser leaves comments out at a statement's ends, and may keep them at the text's.
		if strings.Join(words(got[i]), " ") != strings.Join(words(want[i]), " ") {
			return got, want, true
		}
	}
	return got, want, false
}

// words are the tokens of a text, without comments and semicolons at the end.
func words(text string) []string {
	var out []string
	for _, t := range lexAll(text) {
		if t.kind != tokComment {
			out = append(out, text[t.start:t.end])
		}
	}
	for len(out) > 0 && out[len(out)-1] == ";" {
		out = out[:len(out)-1]
	}
	return out
}

var messageParts = []string{
	"SELECT 1", "SELECT ';'", "BEGIN", "END", "", " ", "-- x;\n", "/* ; */", "SELECT $a$;$a$", "SELECT CASE WHEN a THEN 1 END",
	"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", "CREATE RULE r AS ON INSERT TO t DO NOTHING",
	"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT (SELECT CASE WHEN a THEN 1 END); END",
	"CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC END", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1;'",
	"CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN CASE WHEN a THEN 1 END", "VALUES ('it''s;')", "SELECT E'\\';'", "COMMIT",
	"DO $$ BEGIN x; END $$", "CREATE TABLE t (begin int, atomic int)", "SELECT a.end, a AS case FROM a",
}

func TestSplitAgreesWithParser(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 5000 {
		var parts []string
		for range r.IntN(5) + 1 {
			parts = append(parts, messageParts[r.IntN(len(messageParts))])
		}
		text := strings.Join(parts, ";")
		if got, want, differ := splitDisagreement(text); differ {
			t.Fatalf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
}

func TestSplitOneDoesNotAllocate(t *testing.T) {
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;")
	dst := make([]Span, 0, 4)
	if n := testing.AllocsPerRun(100, func() { dst = Split(dst[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSplit(f *testing.F) {
	for _, p := range messageParts {
		f.Add(p + ";" + p)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spans := Split(nil, []byte(text))
		at := 0
		for _, s := range spans {
			if s.Start < at || s.End <= s.Start || s.End > len(text) {
				t.Fatalf("%q: %v", text, spans)
			}
			at = s.End
		}
		if !utf8.ValidString(text) || Guard([]byte(text)) != nil {
			return
		}
		if got, want, differ := splitDisagreement(text); differ {
			t.Fatalf("%q:\n got %q\nwant %q", text, got, want)
		}
	})
}

func BenchmarkSplitOne(b *testing.B) {
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;")
	dst := make([]Span, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		dst = Split(dst[:0], text)
	}
}
