package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// richSchema makes one of everything that a snapshot tells.
func richSchema(t *testing.T) (*testDB, *client) {
	t.Helper()
	db, c := newClient(t)
	for _, sql := range []string{
		"CREATE TYPE mood AS ENUM ('sad', 'glad')",
		"CREATE SCHEMA \"Odd schema\"",
		"CREATE TABLE countries (code text PRIMARY KEY, name text COLLATE \"C\") WITH (pleiad.reference)",
		`CREATE TABLE meetings (junk int, room varchar(40) NOT NULL, id uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT now(), day date DEFAULT CURRENT_DATE,
			n int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (1 + 1) STORED, feeling mood DEFAULT 'sad', country text REFERENCES countries,
			PRIMARY KEY (id, room)) PARTITION BY HASH (room)`,
		"ALTER TABLE meetings DROP COLUMN junk",
		"CREATE TABLE lines (room text, id uuid, line int, FOREIGN KEY (room, id) REFERENCES meetings (room, id)) PARTITION BY HASH (room)",
		"CREATE TABLE hashed (k bigint) PARTITION BY HASH (k pleiad.murmur3_ops)",
		"CREATE TABLE notes (id serial PRIMARY KEY, body text)",
		"CREATE TABLE parted (k int) PARTITION BY RANGE (k)",
		"CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (9)",
		"CREATE VIEW v_meetings AS SELECT room, id FROM meetings",
		"CREATE VIEW v_countries AS SELECT * FROM countries",
		"CREATE VIEW v_notes AS SELECT * FROM notes",
		"CREATE VIEW v_above AS SELECT room FROM v_meetings",
		"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END'",
		"CREATE FUNCTION count_notes() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM notes'",
		"CREATE FUNCTION atomic_notes() RETURNS bigint STABLE LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM notes; END",
		"CREATE FUNCTION caller() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN Count_Meetings(); END'",
		"CREATE FUNCTION shout(t text) RETURNS text IMMUTABLE LANGUAGE sql RETURN upper(t)",
		"CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON meetings FOR EACH ROW EXECUTE FUNCTION touch()",
		"ALTER TABLE meetings ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY p ON meetings USING (room = current_user) WITH CHECK (n > 0)",
		"CREATE SEQUENCE counter",
	} {
		c.must(sql)
	}
	return db, c
}

func TestSnapshotTellsTables(t *testing.T) {
	_, c := richSchema(t)
	s := c.env.Schema
	if s.Home != 0 || s.Map.NumBackends() != 2 || s.Map.Backend(1).Name != "b2" || !strings.HasPrefix(s.Database, "db") {
		t.Errorf("database %q, home %d, %d backends", s.Database, s.Home, s.Map.NumBackends())
	}
	if _, ok := s.Relations["Odd schema"]; !ok {
		t.Error("an empty schema is missing")
	}
	got := map[string]string{}
	for _, name := range []string{"meetings", "lines", "hashed", "countries", "notes", "parted", "parted_1", "v_meetings", "v_countries", "v_notes", "v_above", "counter"} {
		r := s.Relations["public"][name]
		if r == nil {
			t.Fatalf("%s is missing", name)
		}
		got[name] = fmt.Sprintf("%d %c group %d everywhere %t touches %t", r.Kind, r.Relkind, r.Group, r.Everywhere, r.Touches)
		if s.ByOID[r.OID] != r || r.Owner != "ann" {
			t.Errorf("%s: oid %d, owner %s", name, r.OID, r.Owner)
		}
	}
	want := map[string]string{
		"meetings": "1 p group 1 everywhere true touches false", "lines": "1 p group 1 everywhere true touches false",
		"hashed": "1 p group 2 everywhere true touches false", "countries": "2 r group 0 everywhere true touches false",
		"notes": "0 r group 0 everywhere false touches false", "parted": "0 p group 0 everywhere false touches false",
		"parted_1":   "0 r group 0 everywhere false touches false",
		"v_meetings": "3 v group 0 everywhere true touches true", "v_countries": "3 v group 0 everywhere true touches false",
		"v_notes": "3 v group 0 everywhere false touches false", "v_above": "3 v group 0 everywhere true touches true",
		"counter": "4 S group 0 everywhere false touches false",
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s, want %s", name, got[name], want[name])
		}
	}
	for schema, name := range map[string]string{"pg_catalog": "pg_class", "information_schema": "tables", "pleiad": "shards"} {
		if r := s.Relations[schema][name]; r == nil || r.Kind != router.TableSystem {
			t.Errorf("%s.%s: %+v", schema, name, r)
		}
	}
	for schema := range s.Relations {
		if strings.HasPrefix(schema, "pleiad_") || strings.HasPrefix(schema, "pg_toast") {
			t.Errorf("schema %s is in the snapshot", schema)
		}
	}
	if s.Types["public.mood"] == 0 || s.Types["public._mood"] == 0 || s.Indexes["public"]["notes_pkey"] != s.Relations["public"]["notes"].OID {
		t.Errorf("types %v, indexes %v", s.Types, s.Indexes)
	}
	if h := s.Relations["public"]["hashed"]; h.KeyCols[0] != (shardmap.KeyColumn{TypeOID: 20, Family: shardmap.FamilyMurmur3}) {
		t.Errorf("key of hashed: %v", h.KeyCols)
	}
}

func TestSnapshotTellsColumnsTriggersAndPolicies(t *testing.T) {
	_, c := richSchema(t)
	s := c.env.Schema
	m := s.Relations["public"]["meetings"]
	var cols []string
	for _, col := range m.Columns {
		vol := string(col.DefaultVol)
		if col.DefaultVol == 0 {
			vol = "-"
		}
		cols = append(cols, strings.TrimSpace(fmt.Sprintf("%d %s %s coll=%s %s %s", col.Attnum, col.Name, col.TypeName, col.Collation, vol, col.Default)))
	}
	want := []string{
		"2 room character varying(40) coll=default -", "3 id uuid coll= v gen_random_uuid()", "4 at timestamp with time zone coll= s now()",
		"5 day date coll= s CURRENT_DATE", "6 n integer coll= v CASE WHEN has_sequence_privilege('public.meetings_n_seq', 'USAGE, UPDATE') THEN nextval('public.meetings_n_seq'::regclass) ELSE pleiad.next_identity('public.meetings_n_seq') END", "7 twice integer coll= -",
		"8 feeling public.mood coll= i 'sad'::public.mood", "9 country text coll=default -",
	}
	if !slices.Equal(cols, want) {
		t.Errorf("columns:\n%s\nwant:\n%s", strings.Join(cols, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(m.Key, []int{0}) || !slices.Equal(m.PrimKey, []int{1, 0}) || m.KeyCols[0].TypeOID != shardmap.VarcharOID || m.Modulus != 4 {
		t.Errorf("key %v, primary key %v, types %v, modulus %d", m.Key, m.PrimKey, m.KeyCols, m.Modulus)
	}
	if !m.Columns[0].NotNull || m.Columns[4].Identity != 'a' || !m.Columns[5].Generated || s.Relations["public"]["countries"].Columns[1].Collation != "C" {
		t.Errorf("column flags: %+v", m.Columns)
	}
	if len(m.Triggers) != 1 {
		t.Fatalf("triggers: %+v", m.Triggers)
	}
	trg := m.Triggers[0]
	if trg.Name != "stamp" || !trg.Row || !trg.OnInsert || !trg.OnUpdate || trg.OnDelete || trg.OnTrunc || trg.Constrain || trg.Function == nil || trg.Function.Name != "touch" {
		t.Errorf("trigger: %+v", trg)
	}
	if !m.RLS || m.RLSExprs != "((room)::text = CURRENT_USER)"+router.RLSSeparator+"(n > 0)" {
		t.Errorf("row level security %t: %q", m.RLS, m.RLSExprs)
	}
	lines, countries := s.Relations["public"]["lines"], s.Relations["public"]["countries"]
	if !slices.Equal(lines.ReferencesOut, []uint32{m.OID}) || !slices.Equal(m.ReferencedBy, []uint32{lines.OID}) || !slices.Equal(countries.ReferencedBy, []uint32{m.OID}) {
		t.Errorf("foreign keys: %v %v %v", lines.ReferencesOut, m.ReferencedBy, countries.ReferencedBy)
	}
	if !slices.Equal(m.UniqueBy, m.PrimKey) {
		t.Errorf("unique by %v", m.UniqueBy)
	}
	if !slices.Equal(m.Referenced, []int{0, 1}) && !slices.Equal(m.Referenced, []int{1, 0}) || len(lines.Referenced) > 0 {
		t.Errorf("referenced columns: %v %v", m.Referenced, lines.Referenced)
	}
	if !strings.Contains(s.Relations["public"]["v_above"].Definition, "FROM public.v_meetings") {
		t.Errorf("view: %s", s.Relations["public"]["v_above"].Definition)
	}
}

func TestSnapshotTellsFunctions(t *testing.T) {
	_, c := richSchema(t)
	c.must("CREATE FUNCTION count_meetings() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM meetings'")
	c.must("CREATE VIEW v_called AS SELECT caller()")
	s := c.env.Schema
	for _, w := range []struct {
		name                   string
		sharded, tables, state bool
	}{
		{"touch", false, false, false}, {"count_notes", false, true, false}, {"atomic_notes", false, true, false},
		{"count_meetings", true, true, false}, {"caller", true, true, false}, {"shout", false, false, false},
	} {
		fs := s.Functions[w.name]
		if len(fs) != 1 {
			t.Errorf("%s: %d functions", w.name, len(fs))
			continue
		}
		r := fs[0].Reach
		if r&router.ReachSharded != 0 != w.sharded || r&router.ReachLocal != 0 != w.tables || r&router.ReachState != 0 != w.state {
			t.Errorf("%s: reach %b", w.name, r)
		}
	}
	if !s.Relations["public"]["v_called"].Touches {
		t.Error("a view that calls a function over a sharded table does not touch")
	}
	if got := c.both("SELECT count(*)::text FROM pg_proc WHERE proname IN ('touch', 'count_notes', 'atomic_notes', 'caller', 'shout', 'count_meetings')"); got != [2]string{"6", "5"} {
		t.Errorf("functions on home and the other: %v", got)
	}
}

func TestOIDsTranslateToHome(t *testing.T) {
	_, c := richSchema(t)
	home, err := LoadOIDs(t.Context(), pgxQuerier{c.conns[0]})
	if err != nil {
		t.Fatal(err)
	}
	other, err := LoadOIDs(t.Context(), pgxQuerier{c.conns[1]})
	if err != nil {
		t.Fatal(err)
	}
	types, rels := other.Translate(home)
	for name, m := range map[string]struct{ got, want uint32 }{
		"mood":     {types[other.Types["public.mood"]], c.env.Schema.Types["public.mood"]},
		"meetings": {rels[other.Relations["public.meetings"]], c.env.Schema.Relations["public"]["meetings"].OID},
	} {
		if m.want == 0 || m.got != m.want && m.got != 0 {
			t.Errorf("%s is %d on home, translated %d", name, m.want, m.got)
		}
	}
	if other.Types["public.mood"] == home.Types["public.mood"] && types[other.Types["public.mood"]] != 0 {
		t.Error("equal oids are translated")
	}
}

func TestSnapshotInsideATransactionShowsItsChanges(t *testing.T) {
	_, c := newClient(t)
	mustExec(t, c.conns[0], "BEGIN; SELECT pleiad.begin_ddl(); CREATE TABLE mine (a int)")
	c.reload()
	if c.env.Schema.Relations["public"]["mine"] == nil {
		t.Error("own table is missing")
	}
	mustExec(t, c.conns[0], "ROLLBACK")
}

// BenchmarkLoadSnapshot reads a schema of 300 local and 30 sharded tables.
func BenchmarkLoadSnapshot(b *testing.B) {
	ctx := b.Context()
	conn, close := benchDB(b)
	defer close()
	script := &strings.Builder{}
	for i := range 330 {
		kind := ""
		if i%11 == 0 {
			kind = " PARTITION BY HASH (a)"
		}
		fmt.Fprintf(script, "CREATE TABLE t%d (a int NOT NULL, b text DEFAULT 'x', c timestamptz DEFAULT now(), d int, e int, f text, g text, h uuid, i numeric, j jsonb)%s;", i, kind)
		if kind != "" {
			fmt.Fprintf(script, "SELECT pleiad.create_shards('t%d', 32, (SELECT array_agg(i) FROM generate_series(0, 31) i)); SELECT pleiad.register_sharded('t%d', 1, 32, %s);", i, i, map[bool]string{true: "array_fill(0, '{32}')", false: "NULL"}[i == 0])
		}
		fmt.Fprintf(script, "CREATE INDEX ON t%d (b); CREATE INDEX ON t%d (d);", i, i)
	}
	if _, err := conn.PgConn().Exec(ctx, script.String()).ReadAll(); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := LoadSnapshot(ctx, pgxQuerier{conn})
		if err != nil || len(s.Relations["public"]) != 330 {
			b.Fatal(err)
		}
	}
}

// TestUnseenVolatile: a user's volatile function may write where no text names it; its statement has a part in the transaction's
// outcome then, and a standby does not answer it, nor is it run a second time.
func TestUnseenVolatile(t *testing.T) {
	_, c := richSchema(t)
	for _, sql := range []string{
		"CREATE TABLE seen_rows (k int PRIMARY KEY, n int) WITH (pleiad.reference)",
		"CREATE FUNCTION noted(int, int) RETURNS int VOLATILE LANGUAGE plpgsql AS 'begin raise debug ''x''; return 1; end'",
		"CREATE FUNCTION noted(int) RETURNS boolean VOLATILE LANGUAGE plpgsql AS 'begin raise debug ''x''; return true; end'",
		"CREATE FUNCTION plain(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'begin return 1; end'",
		"CREATE FUNCTION wraps(int) RETURNS boolean STABLE LANGUAGE plpgsql AS 'begin return noted($1); end'",
		"CREATE OPERATOR =@= (LEFTARG = int, RIGHTARG = int, FUNCTION = noted)",
		"CREATE OPERATOR =#= (LEFTARG = int, RIGHTARG = int, FUNCTION = plain)",
		"CREATE AGGREGATE noting(int) (SFUNC = noted, STYPE = int)",
		"CREATE DOMAIN noted_int AS int CHECK (noted(value))",
		"CREATE TABLE guarded_rows (k int PRIMARY KEY) WITH (pleiad.reference)",
		"CREATE POLICY p ON guarded_rows USING (noted(k))",
		"ALTER TABLE guarded_rows ENABLE ROW LEVEL SECURITY",
	} {
		c.must(sql)
	}
	for text, writes := range map[string]bool{
		"SELECT k FROM seen_rows":                   false,
		"SELECT k =#= n FROM seen_rows":             false,
		"SELECT k =@= n FROM seen_rows":             true,
		"SELECT k FROM seen_rows ORDER BY k =@= n":  true,
		"SELECT noting(k) FROM seen_rows":           true,
		"SELECT k::noted_int FROM seen_rows":        true,
		"SELECT * FROM guarded_rows":                true,
		"SELECT wraps(k) FROM seen_rows":            true,
		"SELECT s.noted FROM (SELECT 1 AS noted) s": false,
	} {
		p := router.Plan(text, c.env)
		if p.Refusal != nil || p.Writes != writes || p.ReadOnly == writes {
			t.Errorf("%s: writes %t, read-only %t, %v", text, p.Writes, p.ReadOnly, p.Refusal)
		}
	}
}
