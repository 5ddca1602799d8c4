package router

import (
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router/shardmap"
)

// The golden corpus's schema: three backends, home first. Shard i of either group is on backend i % 3.
//
//	public.meetings (room text, id int, doc jsonb, at timestamptz default now()), key room
//	public.members  (room text, name varchar, age int), key room, in the same group
//	public.pairs    (a int, b bigint, note text), key (a, b)
//	public.users    (id int default nextval, name text), key id
//	public.days     (day date, n int), key day
//	public.moods    (room text, mood enum), key room
//	public.codes    (id int primary key, label text, seen timestamptz) reference
//	public.counters (id int, n int default nextval) reference
//	public.stamps   (id int primary key, at timestamptz default now()) reference
//	public.notes    (id int default nextval, body text) local
//	public.touched  (room text, x int), key room, with a trigger that reads the time
//	public.spots    (room text primary key, at point, n int), key room
//	public.recent   view over meetings that reads the time
//	public.rooms    view over meetings; public.labels view over codes; public.bodies view over notes
func fixture() Env {
	col := func(name string, oid uint32, opts ...string) Column {
		c := Column{Name: name, TypeOID: oid, Typmod: -1}
		if oid == shardmap.TextOID || oid == shardmap.VarcharOID {
			c.Collation = "default"
		}
		for _, o := range opts {
			switch {
			case o == "C":
				c.Collation = "C"
			case strings.HasPrefix(o, "default "):
				c.Default, c.DefaultVol = o[8:], 'v'
			case o == "identity":
				c.Identity, c.Default, c.DefaultVol = 'a', "nextval('x_seq'::regclass)", 'v'
			}
		}
		return c
	}
	s := &Schema{Epoch: 1, Database: "db", Relations: map[string]map[string]*Table{"public": {}, "app": {}, "pg_catalog": {}}, ByOID: map[uint32]*Table{}}
	oid := uint32(1000)
	add := func(t *Table) *Table {
		if t.Schema == "" {
			t.Schema = "public"
		}
		oid++
		t.OID = oid
		for i := range t.Columns {
			t.Columns[i].Attnum = int16(i + 1)
		}
		for _, k := range t.Key {
			t.KeyCols = append(t.KeyCols, shardmap.KeyColumn{TypeOID: t.Columns[k].TypeOID})
		}
		if t.Kind == TableSharded {
			t.Modulus = 32
		}
		t.reachByKind()
		s.Relations[t.Schema][t.Name] = t
		s.ByOID[t.OID] = t
		return t
	}
	fixtureTables(add, col)
	add(&Table{Name: "pg_class", Schema: "pg_catalog", Kind: TableSystem, Relkind: 'r'})
	s.Functions = map[string][]*Function{
		"pure":       {{Schema: "public", Name: "pure", Kind: 'f', Volatility: 'i', Language: "sql"}},
		"stamp_of":   {{Schema: "public", Name: "stamp_of", Kind: 'f', Volatility: 's', Language: "sql", Reach: ReachClock}},
		"vol":        {{Schema: "public", Name: "vol", Kind: 'f', Volatility: 'v', Language: "plpgsql"}},
		"count_all":  {{Schema: "public", Name: "count_all", Kind: 'f', Volatility: 's', Language: "sql", Reach: ReachSharded | ReachLocal}},
		"note_count": {{Schema: "public", Name: "note_count", Kind: 'f', Volatility: 's', Language: "sql", Reach: ReachLocal}},
		"set_tenant": {{Schema: "public", Name: "set_tenant", Kind: 'f', Volatility: 'v', Language: "plpgsql", Reach: ReachState}},
		"myagg":      {{Schema: "public", Name: "myagg", Kind: 'a', Aggregate: true, Volatility: 'i'}},
	}
	groups := map[shardmap.GroupID][]uint16{}
	for g := range shardmap.GroupID(4) {
		for i := range 32 {
			groups[g] = append(groups[g], uint16(i%3))
		}
	}
	m, err := shardmap.New(1, []shardmap.BackendInfo{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}, {Name: "c", Weight: 1}}, groups)
	if err != nil {
		panic(err)
	}
	s.Map = m
	return Env{Schema: s, Path: []string{"public"}, User: "app", Temp: map[string]bool{"scratch": true}, DefaultDistribution: "local", ShardCount: 32}
}

func fixtureTables(add func(*Table) *Table, col func(string, uint32, ...string) Column) {
	const (
		i4, i8, txt, vc, jb, tz = shardmap.Int4OID, shardmap.Int8OID, shardmap.TextOID, shardmap.VarcharOID, 3802, shardmap.TimestamptzOID
	)
	add(&Table{Name: "meetings", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("id", i4), col("doc", jb), col("at", tz, "default now()")}})
	add(&Table{Name: "members", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("name", vc, "C"), col("age", i4)}})
	add(&Table{Name: "pairs", Kind: TableSharded, Relkind: 'p', Group: 1, Key: []int{0, 1}, Columns: []Column{col("a", i4), col("b", i8), col("note", txt)}})
	add(&Table{Name: "users", Kind: TableSharded, Relkind: 'p', Group: 2, Key: []int{0}, Columns: []Column{col("id", i4, "default nextval('users_id_seq'::regclass)"), col("name", txt)}})
	add(&Table{Name: "orders", Kind: TableSharded, Relkind: 'p', Group: 2, Key: []int{0}, Columns: []Column{col("user_id", i4), col("no", i4, "identity"), col("total", 1700)}})
	add(&Table{Name: "days", Kind: TableSharded, Relkind: 'p', Group: 3, Key: []int{0}, Columns: []Column{col("day", 1082), col("n", i4)}})
	add(&Table{Name: "codes", Kind: TableReference, Relkind: 'r', PrimKey: []int{0}, Columns: []Column{col("id", i4), col("label", txt), col("seen", tz)}})
	add(&Table{Name: "counters", Kind: TableReference, Relkind: 'r', Columns: []Column{col("id", i4), col("n", i4, "default nextval('n_seq'::regclass)")}})
	add(&Table{Name: "stamps", Kind: TableReference, Relkind: 'r', PrimKey: []int{0}, Columns: []Column{col("id", i4), col("at", tz, "default now()")}})
	add(&Table{Name: "notes", Kind: TableLocal, Relkind: 'r', Columns: []Column{col("id", i4, "default nextval('notes_id_seq'::regclass)"), col("body", txt)}})
	add(&Table{Name: "hidden", Schema: "app", Kind: TableLocal, Relkind: 'r', Columns: []Column{col("x", i4)}})
	add(&Table{Name: "notes_id_seq", Kind: TableSequence, Relkind: 'S'})
	add(&Table{Name: "rooms", Kind: TableView, Relkind: 'v', Everywhere: true, Touches: true, Columns: []Column{col("room", txt), col("n", i4)},
		Definition: " SELECT meetings.room,\n    meetings.id AS n\n   FROM public.meetings;"})
	add(&Table{Name: "ids", Kind: TableView, Relkind: 'v', Everywhere: true, Touches: true, Columns: []Column{col("id", i4)}, Definition: " SELECT meetings.id\n   FROM public.meetings;"})
	add(&Table{Name: "quiet", Kind: TableView, Relkind: 'v', Everywhere: true, Touches: true, Columns: []Column{col("who", txt), col("ten", i4), col("n", i4)},
		Definition: " SELECT r.room AS who,\n    (r.n * 10) AS ten,\n    r.n\n   FROM public.rooms r\n  WHERE (r.room = 'quiet'::text);"})
	add(&Table{Name: "entered", Kind: TableView, Relkind: 'v', Everywhere: true, Touches: true, Columns: []Column{col("room", txt)}, Definition: " SELECT meetings.room\n   FROM public.meetings;",
		Triggers: []Trigger{{Name: "enter", Row: true, OnInsert: true, Function: &Function{Name: "enter", Reach: ReachSharded}}}})
	add(&Table{Name: "labels", Kind: TableView, Relkind: 'v', Everywhere: true, Columns: []Column{col("label", txt)}, Definition: " SELECT codes.label\n   FROM public.codes;"})
	add(&Table{Name: "bodies", Kind: TableView, Relkind: 'v', Columns: []Column{col("body", txt)}, Definition: " SELECT notes.body\n   FROM public.notes;"})
	add(&Table{Name: "recent", Kind: TableView, Relkind: 'v', Everywhere: true, Touches: true, Columns: []Column{col("room", txt)},
		Definition: " SELECT meetings.room\n   FROM public.meetings\n  WHERE meetings.at > now();"})
	add(&Table{Name: "moods", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("mood", 16500)}})
	touching := &Function{Schema: "public", Name: "log_change", Kind: 'f', Volatility: 'v', Language: "plpgsql", Reach: ReachLocal}
	add(&Table{Name: "logged", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("x", i4)},
		Triggers: []Trigger{{Name: "log", Function: touching, Row: true, OnInsert: true, OnUpdate: true, OnDelete: true}}})
	add(&Table{Name: "audited", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("x", i4)},
		Triggers: []Trigger{{Name: "stmt", Function: &Function{Name: "noop", Volatility: 'v'}, OnInsert: true, OnUpdate: true, OnDelete: true}}})
	add(&Table{Name: "touched", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("x", i4)},
		Triggers: []Trigger{{Name: "touch", Function: &Function{Name: "touch", Volatility: 'v', Reach: ReachClock}, Row: true, OnUpdate: true}}})
	add(&Table{Name: "tagged", Kind: TableSharded, Relkind: 'p', Key: []int{0}, Columns: []Column{col("room", txt), col("x", i4)},
		Triggers: []Trigger{{Name: "tag", Function: &Function{Name: "tag", Volatility: 'v', Reach: ReachFiredName}, Row: true, OnInsert: true}}})
	add(&Table{Name: "guarded", Kind: TableSharded, Relkind: 'p', Key: []int{0}, RLS: true, RLSExprs: "(room IN ( SELECT public.notes.body\n   FROM public.notes))", Columns: []Column{col("room", txt), col("x", i4)}})
	add(&Table{Name: "listed", Kind: TableSharded, Relkind: 'p', Key: []int{0}, RLS: true, RLSExprs: "(room IN ( SELECT codes.label\n   FROM public.codes))", Columns: []Column{col("room", txt), col("x", i4)}})
	add(&Table{Name: "tenanted", Kind: TableSharded, Relkind: 'p', Key: []int{0}, RLS: true, RLSExprs: "(room = current_setting('app.room'::text))", Columns: []Column{col("room", txt), col("x", i4)}})
	add(&Table{Name: "spots", Kind: TableSharded, Relkind: 'p', Key: []int{0}, PrimKey: []int{0}, Columns: []Column{col("room", txt), col("at", 600), col("n", i4)}})
}

// reachByKind fills in what package catalog does for a table whose code reaches nothing else.
func (t *Table) reachByKind() {
	switch {
	case t.Kind == TableSharded:
		t.NameReach, t.ChangeReach = ReachSharded|ReachLocal, ReachSharded|ReachLocal
	case t.Kind == TableReference:
		t.NameReach, t.ChangeReach = ReachReference, ReachSharded|ReachLocal
	case t.Touches:
		t.NameReach, t.ChangeReach = ReachSharded|ReachLocal|ReachReference, ReachSharded|ReachLocal
	case t.Kind == TableView && t.Everywhere:
		t.NameReach, t.ChangeReach = ReachReference, ReachSharded|ReachLocal
	default:
		t.NameReach, t.ChangeReach = ReachLocal, ReachLocal
	}
}

func TestPlanPointRead(t *testing.T) {
	p := Plan("select * from meetings where room='a'", fixture())
	if p.Kind != KindShards || len(p.Prune) != 1 || p.Prune[0].All || p.Scatter == nil {
		t.Fatalf("plan is %+v", p)
	}
}
