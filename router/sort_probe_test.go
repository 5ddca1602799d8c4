package router

import "testing"

// TestSortProbe asks for the types and collations that the text does not tell, of the query that the servers get.
func TestSortProbe(t *testing.T) {
	env := fixture()
	for _, c := range []struct{ text, want string }{
		{"SELECT id FROM meetings ORDER BY id", ""},
		{"SELECT id FROM meetings ORDER BY lower(title), id LIMIT 3",
			"SELECT pg_catalog.pg_typeof(pleiad_q.pleiad_sort_1)::pg_catalog.oid, pg_catalog.pg_collation_for(pleiad_q.pleiad_sort_1::pg_catalog.text)" +
				" FROM (SELECT id, (lower(title)) AS pleiad_sort_1, (id) AS pleiad_sort_2 FROM meetings ORDER BY lower(title), id LIMIT 3\n) pleiad_q" +
				" RIGHT JOIN (VALUES (1)) pleiad_v ON false"},
	} {
		tmpl := Plan(c.text, env)
		if tmpl.Scatter == nil {
			t.Fatalf("%s: kind %d, no scatter", c.text, tmpl.Kind)
		}
		text, err := tmpl.AppendScatterText(nil, scanValues(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpl.Scatter.SortProbe(string(text)); got != c.want {
			t.Errorf("%s: asks\n%s\nwant\n%s", c.text, got, c.want)
		}
	}
}
