package router

import (
	"testing"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Two parts that change rows of one table are only run one after the other where their keys differ.
func TestPartsOfOneTable(t *testing.T) {
	const two = "WITH a AS (UPDATE users SET name = 'x' WHERE id = $1 RETURNING id) UPDATE users SET name = 'y' WHERE id IN ($2, 7)"
	pre := Plan(two, fixture()).Prelude
	if pre == nil || len(pre.Apart) != 1 {
		t.Fatalf("%s: prelude %+v", two, pre)
	}
	for _, c := range []struct {
		x, y string
		want bool
	}{{"1", "2", true}, {"1", "1", false}, {"7", "2", false}, {"01", "1", false}, {"", "2", true}} {
		v := &Values{Text: []byte(two), Lits: scanned(two)}
		for _, s := range []string{c.x, c.y} {
			v.Params = append(v.Params, shardmap.Value{Data: []byte(s), Null: s == "", TypeOID: shardmap.Int4OID})
		}
		if got := pre.Apart[0].Holds(v); got != c.want {
			t.Errorf("%q and %q: %v", c.x, c.y, got)
		}
	}
	for _, text := range []string{
		"WITH a AS (UPDATE users SET id = 2 WHERE id = 1 RETURNING id) UPDATE users SET name = 'y' WHERE id = 2",
		"WITH a AS (UPDATE users SET name = 'x' WHERE id = 1 RETURNING id) UPDATE users SET name = 'y' WHERE name = 'z'",
		"WITH a AS (UPDATE touched SET x = 1 WHERE room = 'a' RETURNING x) UPDATE touched SET x = 2 WHERE room = 'b'",
		"WITH a AS (UPDATE pairs SET note = 'x' WHERE a = 1 RETURNING a) INSERT INTO pairs VALUES (1, 2, 'y') ON CONFLICT (a, b) DO UPDATE SET note = 'z'",
		"WITH a AS (INSERT INTO users VALUES (1, 'x') RETURNING id) UPDATE users SET name = 'y' WHERE id = 2",
		"WITH a AS (INSERT INTO pairs VALUES (1, 2) RETURNING a), b AS (INSERT INTO pairs VALUES (1, 2) ON CONFLICT (a, b) DO UPDATE SET note = 'x') SELECT * FROM a",
	} {
		if p := Plan(text, fixture()); p.Prelude != nil {
			t.Errorf("%s: %+v", text, p.Prelude)
		}
	}
}

func scanned(text string) []sqlparse.Literal { return new(sqlparse.Scanner).Scan([]byte(text)).Lits }
