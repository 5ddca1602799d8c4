package router

import (
	"testing"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// TestDirect shows which prepared statements name a shard, and how: room 'a' is in shard $S, "-" is none.
func TestDirect(t *testing.T) {
	env := fixture()
	for _, name := range []string{"meetings", "orders"} {
		t := env.Schema.Relations["public"][name]
		t.Ungranted, t.Found = true, true
	}
	placed := *env.Schema.Relations["public"]["members"]
	placed.Schema, placed.Ungranted, placed.Owner = "app", true, "app"
	env.Schema.Relations["app"]["members"] = &placed
	for _, c := range []struct{ text, want string }{
		{"SELECT doc FROM meetings WHERE room = $1", `SELECT doc FROM "pleiad_30"."meetings" WHERE room = $1`},
		{"SELECT m.*, m.id AS n FROM public.meetings AS m WHERE m.room = $1 AND id > 10 ORDER BY n, m.id LIMIT 3 FOR UPDATE",
			`SELECT m.*, m.id AS n FROM "pleiad_30"."meetings" AS m WHERE m.room = $1 AND id > 10 ORDER BY n, m.id LIMIT 3 FOR UPDATE`},
		{"SELECT count(*), max(meetings.id) FROM meetings WHERE room = $1 GROUP BY doc ->> 'k'", `SELECT count(*), max(meetings.id) FROM "pleiad_30"."meetings" WHERE room = $1 GROUP BY doc ->> 'k'`},
		{"SELECT id, grouping(id, at) FROM meetings WHERE room = $1 GROUP BY ROLLUP (id, at)", `SELECT id, grouping(id, at) FROM "pleiad_30"."meetings" WHERE room = $1 GROUP BY ROLLUP (id, at)`},
		{"select 'room = 1', * from meetings where id = 7 and room = 'a'", `select 'room = 1', * from "pleiad_30"."meetings" where id = 7 and room = 'a'`},
		{"UPDATE meetings SET doc = $2, id = meetings.id + 1 WHERE room = $1 RETURNING *", `UPDATE "pleiad_30"."meetings" SET doc = $2, id = meetings.id + 1 WHERE room = $1 RETURNING *`},
		{"DELETE FROM meetings WHERE room = $1", `DELETE FROM "pleiad_30"."meetings" WHERE room = $1`},
		{"INSERT INTO meetings VALUES ($1, 1, '{}', now()) ON CONFLICT (room) DO UPDATE SET doc = excluded.doc, id = meetings.id",
			`INSERT INTO "pleiad_30"."meetings" VALUES ($1, 1, '{}', now()) ON CONFLICT (room) DO UPDATE SET doc = excluded.doc, id = meetings.id`},
		{"SELECT age FROM app.members WHERE members.room = $1", `SELECT age FROM "pleiad_30"."app.members" AS "members" WHERE members.room = $1`},
		{"DELETE FROM app.members x WHERE room = $1", `DELETE FROM "pleiad_30"."app.members" x WHERE room = $1`},

		{"SELECT age FROM members WHERE room = $1", "-"},       // may be granted
		{"SELECT meetings FROM meetings WHERE room = $1", "-"}, // a row as a whole
		{"SELECT row_to_json(meetings.*) FROM meetings WHERE room = $1", "-"},
		{"SELECT to_jsonb(m) FROM meetings m WHERE room = $1", "-"},
		{"SELECT to_jsonb(m), abs(id) AS a, id FROM meetings m WHERE room = $1", "-"},
		{"SELECT abs((SELECT 1)), abs(id) AS a, id FROM meetings m WHERE room = $1", "-"},
		{"SELECT current_query(), abs(id) AS a, id FROM meetings m WHERE room = $1", "-"},
		{"INSERT INTO meetings VALUES ($1, 1, '{}', now()) ON CONFLICT (room) DO UPDATE SET doc = (SELECT excluded.doc), id = abs(meetings.id)", "-"},
		{"SELECT m.to_jsonb FROM meetings m WHERE room = $1", "-"},
		{"SELECT pg_catalog.current_query() FROM meetings WHERE room = $1", "-"},
		{"SELECT tableoid FROM meetings WHERE room = $1", "-"},
		{"SELECT public.meetings.id FROM public.meetings WHERE room = $1", "-"},
		{"SELECT room FROM rooms WHERE room = $1", "-"}, // a view
		{"DELETE FROM rooms WHERE room = $1", "-"},
		{"SELECT id FROM ONLY meetings WHERE room = $1", "-"},
		{"SELECT id FROM meetings * WHERE room = $1", "-"},
		{"SELECT id FROM meetings m(r) WHERE r = $1", "-"},
		{"SELECT id FROM meetings m WHERE room = $1 FOR UPDATE OF m", "-"},
		{"SELECT id FROM meetings WHERE room = $1 AND id IN (SELECT id FROM codes)", "-"},
		{"SELECT m.id FROM meetings m JOIN members USING (room) WHERE room = $1", "-"},
		{"WITH x AS (SELECT 1) SELECT id FROM meetings WHERE room = $1", "-"},
		{"SELECT id FROM meetings WHERE room = $1 UNION SELECT 1", "-"},
		{"SELECT id FROM meetings WHERE id = 1", "-"},
		{"SELECT id FROM meetings TABLESAMPLE SYSTEM (100) WHERE room = $1", "-"},
		{"INSERT INTO meetings (room, id) VALUES ($1, 1)", "-"}, // a default
		{"INSERT INTO meetings VALUES ($1, 1, NULL, DEFAULT)", "-"},
		{"INSERT INTO meetings VALUES ($1, 1, NULL, now()) ON CONFLICT ON CONSTRAINT x DO NOTHING", "-"},
		{"INSERT INTO orders VALUES ($1::text::int, 1, 1)", "-"}, // an identity
		{"UPDATE orders SET total = 1 WHERE user_id = 7", "-"},
		{"UPDATE meetings SET nosuch = 1 WHERE room = $1", "-"},
		{"UPDATE meetings SET room = $1 WHERE room = $1", "-"},
		{"UPDATE meetings SET at = DEFAULT WHERE room = $1", "-"},
		{"UPDATE meetings SET id = x.id FROM codes x WHERE room = $1", "-"},
		{"DELETE FROM meetings USING codes WHERE room = $1", "-"},
		{"INSERT INTO meetings SELECT $1, 1, NULL, now()", "-"},
		{"EXPLAIN SELECT id FROM meetings WHERE room = $1", "-"},
		{"SELECT x FROM logged WHERE room = $1", "-"}, // has triggers
	} {
		env.Schema.Relations["public"]["logged"].Ungranted, env.Schema.Relations["public"]["logged"].Found = true, true
		tmpl := Plan(c.text, env)
		got := "-"
		if tmpl.Direct != nil {
			var sc sqlparse.Scanner
			v := &Values{Text: []byte(c.text), Lits: sc.Scan([]byte(c.text)).Lits, Params: []shardmap.Value{{Data: []byte("a")}, {Null: true}}}
			shard, ok := tmpl.DirectShard(v)
			if !ok {
				t.Errorf("%s: no shard", c.text)
				continue
			}
			if got = string(tmpl.AppendDirect(nil, shard, v)); shard != 30 {
				t.Errorf("%s: shard %d", c.text, shard)
			}
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}
