package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// TestPoint shows which literals of a text become parameters, with their types and values; "-" where it stays what it is. Room 'a' is
// in shard 30.
func TestPoint(t *testing.T) {
	env := fixture()
	add := func(name string, prim []int, columns ...Column) {
		for i := range columns {
			columns[i].Attnum, columns[i].Typmod = int16(i+1), -1
		}
		env.Schema.Relations["public"][name] = &Table{Schema: "public", Name: name, Kind: TableSharded, Relkind: 'p', Key: []int{0}, PrimKey: prim,
			KeyCols: []shardmap.KeyColumn{{TypeOID: columns[0].TypeOID}}, Modulus: 32, Columns: columns, Ungranted: true, Found: true}
	}
	room := Column{Name: "room", TypeOID: shardmap.TextOID}
	id := Column{Name: "id", TypeOID: shardmap.Int4OID}
	doc := Column{Name: "doc", TypeOID: 3802}
	add("talks", []int{0, 1}, room, id, doc, Column{Name: "day", TypeOID: shardmap.DateOID}, Column{Name: "span", TypeOID: 1186}, Column{Name: "tags", TypeOID: 1009},
		Column{Name: "price", TypeOID: shardmap.NumericOID}, Column{Name: "short", TypeOID: shardmap.Int2OID}, Column{Name: "name", TypeOID: shardmap.VarcharOID})
	talks := env.Schema.Relations["public"]["talks"].Columns
	talks[6].Typmod, talks[8].Typmod = 4<<16|1+4, 3+4
	add("loose", nil, room, id)
	for _, c := range []struct{ text, want, values string }{
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 7", `SELECT doc FROM "pleiad_30"."talks" WHERE room = $1 AND id = $2`, "0:a 23:7"},
		{"SELECT doc->'x', 1 AS n FROM talks AS t WHERE 7=id AND t.room='a'", `SELECT doc->'x', 1 AS n FROM "pleiad_30"."talks" AS t WHERE $1=id AND t.room=$2`, "23:7 0:a"},
		{"SELECT doc FROM talks WHERE room = 'a' AND (id = 3000000000 AND doc->>'k' = 'v') ORDER BY 1 LIMIT 5",
			`SELECT doc FROM "pleiad_30"."talks" WHERE room = $1 AND (id = $2 AND doc->>'k' = 'v') ORDER BY 1 LIMIT 5`, "0:a 20:3000000000"},
		{"SELECT doc FROM talks WHERE room = E'\\x61' AND id = 7 AND day = '2020-01-01' AND span = '1 day' AND doc @> '{}'::jsonb FOR UPDATE",
			`SELECT doc FROM "pleiad_30"."talks" WHERE room = $1 AND id = $2 AND day = $3 AND span = '1 day' AND doc @> $4::jsonb FOR UPDATE`, "0:a 23:7 0:2020-01-01 0:{}"},
		{"UPDATE talks SET doc = '{\"it''s\": 1}', span = '5', tags[1] = 'z' WHERE room = 'a' AND id = -7 RETURNING 5",
			`UPDATE "pleiad_30"."talks" SET doc = $1, span = '5', tags[1] = 'z' WHERE room = $2 AND id = -$3 RETURNING 5`, `0:{"it's": 1} 0:a 23:7`},
		{"DELETE FROM talks WHERE room = 'a'::text AND id = 0x10 AND id < 1.5", `DELETE FROM "pleiad_30"."talks" WHERE room = $1::text AND id = $2 AND id < $3`, "0:a 23:16 1700:1.5"},
		{"INSERT INTO talks VALUES ('a', 1, jsonb_build_object('n', 5::int), $$2020-01-01$$, '5', '{a}')",
			`INSERT INTO "pleiad_30"."talks" VALUES ($1, $2, jsonb_build_object('n', $3::int), $4, '5', '{a}')`, "0:a 23:1 23:5 0:2020-01-01"},
		{"INSERT INTO talks (id, room, tags[2]) VALUES (1, 'a', 'z') ON CONFLICT (room, id) DO UPDATE SET doc = '[1]', id = excluded.id + 1 WHERE talks.id > 3 RETURNING 'x'",
			`INSERT INTO "pleiad_30"."talks" (id, room, tags[2]) VALUES ($1, $2, 'z') ON CONFLICT (room, id) DO UPDATE SET doc = $3, id = excluded.id + $4 WHERE talks.id > $5 RETURNING 'x'`,
			"23:1 0:a 0:[1] 23:1 23:3"},
		{"SELECT id::numeric(10,2) FROM talks WHERE room = 'a' AND id = 5::numeric(9,1)", `SELECT id::numeric(10,2) FROM "pleiad_30"."talks" WHERE room = $1 AND id = 5::numeric(9,1)`, "0:a"},
		// what PostgreSQL computes when it plans stays
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 7 AND id > 1/0 AND id + 2 * (3 - id) > 4 * 5 AND 6 > 7 AND length(room) = 8 AND abs(9) > id",
			`SELECT doc FROM "pleiad_30"."talks" WHERE room = $1 AND id = $2 AND id > 1/0 AND id + $3 * ($4 - id) > 4 * 5 AND 6 > 7 AND length(room) = $5 AND abs(9) > id`,
			"0:a 23:7 23:2 23:3 23:8"},
		{"UPDATE talks SET price = 1.5, id = 5, short = 70000, name = 'toolong', doc = NULL WHERE room = 'a' AND id = 7",
			`UPDATE "pleiad_30"."talks" SET price = 1.5, id = $1, short = 70000, name = 'toolong', doc = NULL WHERE room = $2 AND id = $3`, "23:5 0:a 23:7"},
		{"INSERT INTO talks (room, id, price, short, name) VALUES ('a', 1, 1.5, 7, 'toolong')",
			`INSERT INTO "pleiad_30"."talks" (room, id, price, short, name) VALUES ($1, $2, $3, $4, $5)`, "0:a 23:1 1700:1.5 23:7 0:toolong"},
		{"INSERT INTO talks (room, id, price, short, name) VALUES ('a', 1, 1.5, 7, 'toolong') RETURNING id",
			`INSERT INTO "pleiad_30"."talks" (room, id, price, short, name) VALUES ($1, $2, 1.5, 7, 'toolong') RETURNING id`, "0:a 23:1"},
		{"INSERT INTO talks (room, id, short) VALUES ('a', CASE WHEN random() < 2 THEN 1 ELSE 1/0 END, coalesce(2, 1/0))",
			`INSERT INTO "pleiad_30"."talks" (room, id, short) VALUES ($1, CASE WHEN random() < 2 THEN 1 ELSE 1/0 END, coalesce(2, 1/0))`, "0:a"},

		{"SELECT doc FROM talks WHERE room = 'a'", "-", ""}, // many rows
		{"SELECT doc FROM talks WHERE room = 'a' AND id > 7", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND (id = 7 OR id = 8)", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id IN (7, 8)", "-", ""},
		{"SELECT id FROM loose WHERE room = 'a' AND id = 7", "-", ""}, // no primary key
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 7 GROUP BY 1", "-", ""},
		{"SELECT DISTINCT doc FROM talks WHERE room = 'a' AND id = 7", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id = $1", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 7 /* tagged */", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 7 AND vol()", "-", ""},
		{"SELECT doc, vol() FROM talks WHERE room = 'a' AND id = 7", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 7 AND pg_advisory_lock(1) IS NULL", "-", ""},
		{"SELECT pure() FROM talks WHERE room = 'a' AND id = 7", "-", ""}, // it might say something while it is planned
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 1e0", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id = 1.000000000000000000000000000000001", "-", ""},
		{"UPDATE talks SET id = nosuch(1) WHERE room = 'a' AND id = 7", "-", ""},
		{"INSERT INTO talks VALUES ('a', 1), ('a', 2)", "-", ""},
		{"SELECT doc FROM talks WHERE room = 'a' AND id = -2147483648 AND id < -2147483649.5", "-", ""}, // the digits alone may be of another type
		{"SELECT doc FROM talks WHERE room = E'\\v' AND id = 7", "-", ""},                               // depends on the server's version
	} {
		tmpl := Plan(c.text, env)
		var sc sqlparse.Scanner
		v := &Values{Text: []byte(c.text), Lits: sc.Scan([]byte(c.text)).Lits}
		got, values := "-", ""
		if d := tmpl.Direct; d != nil && d.Point != nil {
			if types, ok := d.Point.AppendTypes(nil, v); ok {
				var list []string
				for i, oid := range types {
					val, valid := d.Point.AppendValue(nil, i, v)
					ok = ok && valid
					list = append(list, fmt.Sprintf("%d:%s", oid, val))
				}
				if shard, _ := tmpl.DirectShard(v); ok {
					got, values = string(tmpl.AppendPoint(nil, shard, v)), strings.Join(list, " ")
				}
			}
		}
		if got != c.want || values != c.values {
			t.Errorf("%s:\n got %s  %s\nwant %s  %s", c.text, got, values, c.want, c.values)
		}
	}
}

// TestPointKeepsWhatStays shows that texts with one plan that differ in more than parameters are told apart.
func TestPointKeepsWhatStays(t *testing.T) {
	env := fixture()
	spots := env.Schema.Relations["public"]["spots"]
	spots.Ungranted, spots.Found = true, true
	fixed := func(text string) string {
		t.Helper()
		var sc sqlparse.Scanner
		v := &Values{Text: []byte(text), Lits: sc.Scan([]byte(text)).Lits}
		tmpl := Plan(text, env)
		if tmpl.Direct == nil || tmpl.Direct.Point == nil {
			t.Fatalf("%s: has no parameters", text)
		}
		return string(tmpl.Direct.Point.AppendFixed(nil, v))
	}
	one := fixed("SELECT n, 'x' FROM spots WHERE room = 'a' AND n = 1 LIMIT 2")
	if again := fixed("SELECT n, 'x' FROM spots WHERE room = 'b' AND n = 5 LIMIT 2"); again != one {
		t.Errorf("other parameters: %q, then %q", one, again)
	}
	for _, other := range []string{"SELECT n, 'y' FROM spots WHERE room = 'a' AND n = 1 LIMIT 2", "SELECT n, 'x' FROM spots WHERE room = 'a' AND n = 1 LIMIT 3"} {
		if got := fixed(other); got == one {
			t.Errorf("%s: %q as well", other, got)
		}
	}
}
