package router

import (
	"strings"
	"testing"
)

// TestDrawn is how writes are taken apart that need a sequence's values.
func TestDrawn(t *testing.T) {
	env := fixture()
	env.Schema.Relations["public"]["pairs"].PrimKey = []int{0, 1}
	for _, c := range []struct {
		sql, last string
		steps     int
	}{
		{"UPDATE pairs SET note = nextval('s') WHERE a = 1 RETURNING *", `FROM "pleiad rows of step 1" "pleiad drawn values"`, 2},
		{"UPDATE pairs SET note = nextval('s') WHERE a > 1 AND note IS NULL", `AND a > 1`, 2},
		{"UPDATE pairs SET (note) = ROW(nextval('s'))", `SET note = "pleiad drawn values".pleiad_v2`, 2},
		{"UPDATE pairs SET note = 'x' RETURNING nextval('s'), note", `AS "pairs"`, 1},
		{"DELETE FROM pairs p WHERE a > 1 RETURNING lastval(), p.b", `AS "p"`, 1},
		{"INSERT INTO pairs VALUES (1, 1), (2, 2) RETURNING nextval('s')", `AS "pairs"`, 1},
		{"INSERT INTO pairs VALUES (1, 1, nextval('s')), (2, 2, 'x') RETURNING currval('s') = note", "UNION ALL", 4},
		{sql: "UPDATE pairs SET note = nextval('s') RETURNING nextval('s')"},
		{sql: "UPDATE pairs SET note = nextval('s') WHERE note > nextval('s')"},
		{sql: "UPDATE pairs SET note = nextval('s') FROM meetings m WHERE m.id = a"},
		{sql: "UPDATE pairs SET a = nextval('s')"},
		{sql: "UPDATE meetings SET id = nextval('s')"}, // no primary key
		{sql: "DELETE FROM pairs RETURNING nextval('s'), ctid"},
		{sql: "DELETE FROM pairs RETURNING nextval('s'), pairs"},
	} {
		p := Plan(c.sql, env)
		switch pre := p.Prelude; {
		case c.steps == 0 && pre != nil:
			t.Errorf("%s: planned as %q, %s", c.sql, pre.Steps, pre.Text)
		case c.steps == 0:
		case pre == nil:
			t.Errorf("%s: no plan: %v", c.sql, p.NoScatter)
		case len(pre.Steps) != c.steps || !strings.Contains(pre.Text, c.last):
			t.Errorf("%s: %d steps, then %s", c.sql, len(pre.Steps), pre.Text)
		}
	}
}
