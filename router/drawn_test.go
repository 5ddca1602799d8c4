package router

import (
	"strings"
	"testing"
)

// TestDrawn is how writes are taken apart that need a sequence's values.
func TestDrawn(t *testing.T) {
	env := fixture()
	pairs := env.Schema.Relations["public"]["pairs"]
	pairs.PrimKey = []int{0, 1}
	for i, name := range []string{"integer", "bigint", "text"} {
		pairs.Columns[i].TypeName = name
	}
	pairs.Columns[2].NotNull = true // what a conflict's row gets may not be NULL
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
		{"MERGE INTO pairs USING days d ON a = d.n WHEN NOT MATCHED THEN INSERT VALUES (d.n, d.n, nextval('s'))", `"pleiad rows of step 3"`, 4},
		{"MERGE INTO pairs p USING (VALUES (1)) v(x) ON a = x WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND x > 0 THEN INSERT (b, a, note) VALUES (1, x, nextval('s'))", "AND x > 0", 4},
		{"INSERT INTO pairs VALUES (1, 1), (2, 2) ON CONFLICT (a, b) DO UPDATE SET note = nextval('s')", "excluded", 4},
		{sql: "INSERT INTO pairs VALUES (1, 1), (2, 2) ON CONFLICT (a, b) DO UPDATE SET note = nextval('s') WHERE pairs.b > 1"},
		{sql: "MERGE INTO pairs USING days d ON a = d.n WHEN MATCHED THEN UPDATE SET note = nextval('s')"},
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
