package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// foldSession has a sharded table, users (id int, name text), and a local one, notes, of the same columns.
func foldSession(t *testing.T) *Session {
	s := testSession(t)
	schema := testDatabase(s, "public", "public")
	columns := []router.Column{{Name: "id", Attnum: 1, TypeOID: shardmap.Int4OID, Typmod: -1}, {Name: "name", Attnum: 2, TypeOID: shardmap.TextOID, Typmod: -1, Collation: "default"}}
	schema.Relations["public"]["users"] = &router.Table{
		Schema: "public", Name: "users", Kind: router.TableSharded, Columns: columns, Key: []int{0},
		KeyCols: []shardmap.KeyColumn{{TypeOID: shardmap.Int4OID}}, Modulus: 32, Ungranted: true,
	}
	schema.Relations["public"]["notes"] = &router.Table{Schema: "public", Name: "notes", Kind: router.TableLocal, Columns: columns}
	return s
}

// A statement with new literals costs no parse, nor does one whose lists of them have another length.
func TestNewLiteralsCostNoParse(t *testing.T) {
	s := foldSession(t)
	list := func(n int, each string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = strings.ReplaceAll(each, "?", fmt.Sprint(i*n))
		}
		return strings.Join(items, ", ")
	}
	for _, c := range []struct{ shape, each string }{
		{"SELECT name FROM users WHERE id IN (%s)", "?"},
		{"SELECT name FROM notes WHERE name IN (%s)", "'?'"},
		{"SELECT name FROM users WHERE id = ANY (ARRAY[%s])", "?"},
		{"INSERT INTO users (id, name) VALUES %s", "(?, 'name ?')"},
		{"INSERT INTO users VALUES %s RETURNING id", "(-?, NULL)"},
		{"INSERT INTO notes (id, name) VALUES %s", "(?, E'?')"},
		{"DELETE FROM users WHERE id IN (%s) AND name <> 'x'", "?"},
	} {
		var before uint64
		for n := 1; n <= 40; n++ {
			text := []byte(fmt.Sprintf(c.shape, list(n, c.each)))
			p := s.planText(text)
			if p.tmpl.Kind == router.KindRefuse || p.tmpl.Literals != len(p.kinds) {
				t.Errorf("%s: kind %d for %d of %d literals", text, p.tmpl.Kind, p.tmpl.Literals, len(p.kinds))
			}
			if in := p.tmpl.Insert; in != nil && len(in.Rows) != n {
				t.Errorf("%s: %d rows", text, len(in.Rows))
			}
			if n == 2 { // one alone has another plan
				before = sqlparse.Parsed()
			}
		}
		one := strings.Replace(fmt.Sprintf(c.shape, strings.ReplaceAll(c.each, "?", "12345")), "x'", "other'", 1)
		s.planText([]byte(one))
		if got := sqlparse.Parsed() - before; got > 0 {
			t.Errorf("%s: %d parses of texts with other literals", c.shape, got)
		}
	}
	if st := s.srv.plans.Stats(); st.Entries > 20 {
		t.Errorf("%d plans are kept", st.Entries)
	}
}

// What one plan cannot serve has one for each length.
func TestListsThatArePlannedByThemselves(t *testing.T) {
	s := foldSession(t)
	s.planner.current(s)
	for _, text := range []string{
		"SELECT name FROM users WHERE id IN (1, 2) AND id IN (2, 3)",
		"SELECT name FROM users WHERE id IN (1, NULL)",
		"SELECT name FROM users WHERE id IN (1, 2.5)",
		"SELECT name FROM users WHERE id IN (1, '2')",
		"SELECT name FROM users WHERE id IN (1, 2 + 3)",
		"SELECT id IN (1, 2), count(*) FROM users GROUP BY id IN (1, 2)",
		"INSERT INTO users VALUES (1, 'a'), (2, DEFAULT)",
		"INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, lower('c'))",
	} {
		want := router.Plan(text, s.planner.env)
		s.planText([]byte(text))
		before := sqlparse.Parsed()
		if got := s.planText([]byte(text)).tmpl; got.Kind != want.Kind || len(got.Prune) != len(want.Prune) {
			t.Errorf("%s: kind %d, not %d", text, got.Kind, want.Kind)
		}
		if n := sqlparse.Parsed() - before; n > 0 && want.Cacheable {
			t.Errorf("%s: planning it again parses %d times", text, n)
		}
	}
}

// Lists do not let what shows a session's own state be answered from the cache.
func TestFoldedSessionViews(t *testing.T) {
	s := foldSession(t)
	for range 2 {
		p := s.planText([]byte("SELECT name FROM pg_prepared_statements WHERE name IN ('a', 'b')"))
		if p.tmpl.Kind != router.KindSessionViews {
			t.Errorf("kind %d", p.tmpl.Kind)
		}
	}
}
