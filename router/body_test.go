package router

import (
	"slices"
	"testing"
)

func TestBodyReach(t *testing.T) {
	env := fixture()
	env.Schema.Functions["peek"] = []*Function{{Name: "peek", Reach: ReachSharded}}
	env.Schema.TypeReach = map[string]Reach{"checked": ReachLocal}
	env.Schema.OperatorReach = map[string]Reach{"<->": ReachSharded}
	env.TempCode = map[string]string{"mine": "DEFAULT other()", "other": "SELECT * FROM meetings, mine"}
	const local, sharded, reference, seq, state, any = ReachLocal, ReachSharded, ReachReference, ReachSequence, ReachState, ReachAnything
	for _, c := range []struct {
		src  string
		want Reach // ReachUnknown left aside
	}{
		{"BEGIN NEW.at := now(); RETURN NEW; END", ReachClock},
		{"IF NEW.a IS DISTINCT FROM OLD.a THEN RETURN NEW; END IF", 0},
		{"SELECT a + 1", 0},
		{"SELECT * FROM notes", local},
		{"SELECT * FROM Meetings", sharded | local},
		{`SELECT * FROM "Meetings"`, 0},
		{"SELECT label INTO x FROM codes", reference},
		{"SELECT label FROM codes FOR UPDATE", sharded | local | reference},
		{"INSERT INTO codes VALUES (1)", sharded | local | reference | seq},
		{"SELECT * FROM labels", reference},
		{"SELECT * FROM rooms", sharded | local | reference},
		{"SELECT * FROM bodies", local},
		{"SELECT count(*) FROM pg_class", local},
		{"SELECT nothing FROM nowhere", 0},
		{"SELECT x FROM nowhere; EXCEPTION WHEN OTHERS THEN NULL", local},
		{"SELECT 'meetings' FROM x -- meetings\n /* meetings /* meetings */ meetings */", 0},
		{`SELECT E'\'' || meetings.a FROM meetings || '\''`, sharded | local},
		{`SELECT type'\' || a FROM meetings`, sharded | local},
		{"BEGIN EXECUTE q; END", any},
		{`SELECT U&"\006d"`, any},
		{"SELECT * FROM pleiad_7.meetings", any},
		{"SELECT * FROM pleiad_7.old_name", any},
		{"SELECT run_if(true, 'x')", any},
		{"UPDATE notes SET a = 1", local},
		{"BEGIN UPDATE notes SET a = 1; SET search_path = x; END", local | state},
		{"BEGIN SET LOCAL work_mem = '1MB'; END", state},
		{"SELECT set_config('a', 'b', true)", state},
		{"SELECT pg_advisory_lock(1)", state},
		{"SELECT pg_advisory_xact_lock(1)", 0},
		{"INSERT INTO notes VALUES (1)", local | seq},
		{"CREATE TEMP TABLE x (a int)", any},
		{"SELECT query_to_xml('x', true, true, '')", any},
		{"SELECT nextval('s')", seq | state},
		{"SELECT peek()", sharded},
		{"SELECT 1 <-> 2", sharded},
		{"SELECT x::checked", local},
		{"SELECT pg_temp.other()", sharded | local},
		{"INSERT INTO pg_temp.mine VALUES (1)", sharded | local | seq},
	} {
		if got := env.bodyReach(c.src) &^ ReachUnknown; got != c.want&^ReachUnknown {
			t.Errorf("%s: reach %b, want %b", c.src, got, c.want&^ReachUnknown)
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
