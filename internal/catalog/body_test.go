package catalog

import (
	"slices"
	"testing"
)

func TestReadBody(t *testing.T) {
	relations := map[string]bool{"meetings": true, "notes": false, "Odd": true}
	for _, c := range []struct {
		src                    string
		sharded, tables, state bool
	}{
		{"BEGIN NEW.at := now(); RETURN NEW; END", false, false, false},
		{"SELECT a + 1", false, false, false},
		{"SELECT * FROM notes", false, true, false},
		{"SELECT * FROM Meetings", true, true, false},
		{`SELECT * FROM "Odd"`, true, true, false},
		{"SELECT * FROM odd", false, true, false},
		{"SELECT 'meetings' -- meetings\n /* meetings /* meetings */ meetings */", false, false, false},
		{`SELECT E'\'' || meetings.a || '\''`, true, true, false},
		{`SELECT type'\' || meetings.a`, true, true, false},
		{"BEGIN EXECUTE q; END", true, true, true},
		{`SELECT U&"\006d"`, true, true, true},
		{"UPDATE notes SET a = 1", false, true, false},
		{"BEGIN UPDATE notes SET a = 1; SET search_path = x; END", false, true, true},
		{"BEGIN SET LOCAL work_mem = '1MB'; END", false, false, true},
		{"SELECT set_config('a', 'b', true)", false, false, true},
		{"SELECT pg_advisory_lock(1)", false, false, true},
		{"SELECT pg_advisory_xact_lock(1)", false, false, false},
		{"INSERT INTO notes VALUES (1)", false, true, true},
		{"CREATE TEMP TABLE x (a int)", true, true, true},
		{"SELECT query_to_xml('x', true, true, '')", true, true, true},
		{"SELECT nextval('s')", false, false, true},
	} {
		b := readBody(c.src, relations)
		if b.touchesSharded != c.sharded || b.touchesTables != c.tables || b.leavesState != c.state {
			t.Errorf("%s: sharded %t, tables %t, state %t", c.src, b.touchesSharded, b.touchesTables, b.leavesState)
		}
	}
}

// FuzzBodyWords: words come from the text, and reading ends.
func FuzzBodyWords(f *testing.F) {
	f.Add(`SELECT "a""b", E'\'x' /* y */ -- z`)
	f.Fuzz(func(t *testing.T, src string) {
		n := 0
		for range bodyWords(src) {
			if n++; n > len(src) {
				t.Fatalf("%d words from %d bytes", n, len(src))
			}
		}
	})
}

func TestBodyWords(t *testing.T) {
	got := slices.Collect(bodyWords(`Select "Ab""c" , x1$ 12abc 'lit''er' ; e'\'' é`))
	if want := []string{"select", `Ab"c`, "x1$", ";", "e", "é"}; !slices.Equal(got, want) {
		t.Errorf("words %q, want %q", got, want)
	}
}
