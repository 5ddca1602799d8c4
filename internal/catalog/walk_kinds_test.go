package catalog

import (
	"testing"
)

func TestReferenceAndLocalTablesTogether(t *testing.T) {
	_, c := newClient(t)
	c.must("CREATE TABLE countries (code text PRIMARY KEY) WITH (pleiad.reference, fillfactor = 90)")
	c.must("CREATE TABLE notes (id serial PRIMARY KEY, country text REFERENCES countries)")
	c.must("CREATE TABLE m (k int PRIMARY KEY, country text REFERENCES countries, up int) PARTITION BY HASH (k)")
	c.must("CREATE TABLE sub (k int, line int, FOREIGN KEY (k) REFERENCES m ON DELETE CASCADE, PRIMARY KEY (k, line)) PARTITION BY HASH (k)")
	c.must("ALTER TABLE ONLY m ADD CONSTRAINT m_up UNIQUE (k, up)")
	if got := c.same("SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'm_up'::regclass"); got != "true" {
		t.Errorf("index made by ALTER TABLE ONLY is valid: %s", got)
	}
	if got := c.both("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')"); got != [2]string{"countries m notes notes_id_seq sub", "countries m sub"} {
		t.Errorf("relations on home and the other: %q", got)
	}
	for b := range 2 {
		const here = " FROM generate_series(1, 50) k JOIN pleiad.local_shard s ON parent = 'm'::regclass AND satisfies_hash_partition('m'::regclass, 4, shard, k)"
		mustExec(t, c.conns[b], "INSERT INTO m (k) SELECT k"+here+"; INSERT INTO sub SELECT k, 1"+here)
		mustExec(t, c.conns[b], "DELETE FROM m WHERE k % 2 = 0")
	}
	total := c.both("SELECT count(*)::text FROM sub WHERE k % 2 = 1")
	if left := c.both("SELECT count(*)::text FROM sub"); left != total || total[0] == "0" || total[1] == "0" {
		t.Errorf("rows that cascaded: %v of odd keys, %v left", total, left)
	}
	c.refused("0A000", "CREATE TABLE bad (id int REFERENCES m)")
	c.refused("0A000", "ALTER TABLE m ADD COLUMN at timestamptz DEFAULT 'now'")
	c.refused("0A000", "ALTER TABLE m ADD UNIQUE (up)")
	c.must("CREATE TABLE m_up_idx (a int)")
	c.refused("0A000", "CREATE INDEX ON m (up)")
	c.must("CREATE INDEX m_by_up ON m (up)")
	c.must("DROP TABLE m_up_idx")
	c.must("CREATE INDEX ON m (up)")
	c.must("COMMENT ON TABLE notes IS 'local'")
	c.must("GRANT SELECT ON notes, m, countries, notes_id_seq TO bob")
	if got := c.same("SELECT has_table_privilege('bob', 'm', 'SELECT')::text || has_table_privilege('bob', 'countries', 'SELECT')"); got != "truetrue" {
		t.Errorf("bob's rights: %s", got)
	}
	c.must("CREATE INDEX CONCURRENTLY by_code ON countries (upper(code))")
	c.refused("42P07", "CREATE INDEX CONCURRENTLY countries ON countries (code)")
	c.refused("42P07", "CREATE INDEX CONCURRENTLY by_code ON countries (code)")
	c.must("CREATE INDEX m_stale ON m (up)")
	delete(c.env.Schema.Indexes["public"], "m_stale") // as a plan from before it would have it
	c.refused("42P07", "CREATE INDEX CONCURRENTLY m_stale ON m (up)")
	if got := c.same("SELECT to_regclass('m_stale')::text || to_regclass('by_code')"); got != "m_staleby_code" {
		t.Errorf("indexes after a name that was taken: %s", got)
	}
	c.must("DROP INDEX CONCURRENTLY by_code")
	c.must("TRUNCATE m, notes, countries, sub")
	c.must("VACUUM ANALYZE m, notes")
	c.must("DROP TABLE notes, m, sub, countries")
	if got := c.same("SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"); got != "0" {
		t.Errorf("%s relations are left", got)
	}
}

func TestPrimaryKeyDistribution(t *testing.T) {
	_, c := newClient(t)
	c.env.DefaultDistribution = "primary_key"
	c.must("CREATE TABLE students (id INT PRIMARY KEY, name varchar(50), age int) WITH (fillfactor = 80)")
	c.must("CREATE TABLE log (at timestamptz, line text)")
	s := c.env.Schema.Relations["public"]
	if s["students"].Kind != 1 || s["students"].Columns[s["students"].Key[0]].Name != "id" || s["log"].Kind != 0 {
		t.Errorf("students is %d, log %d", s["students"].Kind, s["log"].Kind)
	}
	if got := c.both("SELECT bool_and(reloptions = '{fillfactor=80}')::text FROM pg_class JOIN pleiad.local_shard ON oid = relid"); got != [2]string{"true", "true"} {
		t.Errorf("partitions have the storage parameters: %v", got)
	}
	c.must("CREATE TABLE IF NOT EXISTS students (id INT PRIMARY KEY)")
	c.refused("42P07", "CREATE TABLE students (id INT PRIMARY KEY)")
}

func TestViewsFunctionsTypesAndSequences(t *testing.T) {
	_, c := newClient(t)
	for _, sql := range []string{
		"CREATE TABLE m (k int PRIMARY KEY, v text) PARTITION BY HASH (k)",
		"CREATE TABLE notes (id int)",
		"CREATE VIEW both_v AS SELECT k FROM m",
		"CREATE VIEW home_v AS SELECT id FROM notes",
		"CREATE OR REPLACE VIEW both_v AS SELECT k FROM m WHERE k > 0",
		"CREATE TYPE mood AS ENUM ('a')",
		"ALTER TYPE mood ADD VALUE 'b'",
		"ALTER TYPE mood RENAME TO feeling",
		"CREATE FUNCTION notes_of(n notes) RETURNS int LANGUAGE sql AS 'SELECT n.id'",
		"CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM notes'",
		"ALTER FUNCTION notes_of(notes) STABLE",
		"ALTER FUNCTION counted() STABLE",
		"COMMENT ON FUNCTION notes_of(notes) IS 'home only'",
		"GRANT EXECUTE ON FUNCTION counted(), notes_of(notes) TO bob",
		"CREATE SEQUENCE s",
		"ALTER TABLE m ALTER COLUMN k SET DEFAULT nextval('s')",
		"ALTER SEQUENCE s RENAME TO seq",
		"CREATE SEQUENCE mine OWNED BY notes.id",
		"CREATE SEQUENCE later",
		"ALTER SEQUENCE later OWNED BY notes.id",
		"CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
		"ALTER DOMAIN positive ADD CHECK (VALUE < 100)",
		"CREATE TRIGGER t BEFORE INSERT ON m FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"ALTER TRIGGER t ON m RENAME TO u",
		"CREATE POLICY p ON m USING (v = current_user)",
		"ALTER POLICY p ON m RENAME TO q",
		"CREATE STATISTICS st ON k, v FROM m",
		"ALTER STATISTICS st RENAME TO stat",
		"DROP STATISTICS stat",
		"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO bob",
	} {
		c.must(sql)
	}
	for sql, want := range map[string][2]string{
		"SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace":         {"both_v home_v", "both_v"},
		"SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace":                            {"counted notes_of", "counted"},
		"SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace":         {"later mine seq", "seq"},
		"SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'feeling'::regtype":                           {"a b", "a b"},
		"SELECT string_agg(tgname, ' ') FROM pg_trigger WHERE tgrelid = 'm'::regclass AND NOT tgisinternal":                                    {"u", "u"},
		"SELECT provolatile::text FROM pg_proc WHERE proname = 'counted'":                                                                      {"s", "s"},
		"SELECT string_agg(has_function_privilege('bob', oid, 'EXECUTE')::text, ' ') FROM pg_proc WHERE pronamespace = 'public'::regnamespace": {"true true", "true"},
	} {
		if got := c.both(sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	c.must("CREATE OR REPLACE VIEW both_v AS SELECT id AS k FROM notes")
	if got := c.both("SELECT to_regclass('both_v')::text"); got != [2]string{"both_v", "NULL"} {
		t.Errorf("a view that came to read a local table: %q", got)
	}
	c.must("DROP VIEW both_v, home_v")
	c.must("DROP FUNCTION counted(), notes_of(notes)")
	c.must("DROP TABLE notes")
	c.must("DROP TABLE m")
	c.must("DROP SEQUENCE seq")
	c.must("DROP DOMAIN positive")
	c.must("DROP TYPE feeling")
	if got := c.same("SELECT (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace) || ' ' || (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"); got != "0 0" {
		t.Errorf("types and functions left: %s", got)
	}
}

func TestDatabasesAndSchemas(t *testing.T) {
	db, _ := newClient(t)
	c := db.client("postgres")
	c.must("CREATE DATABASE other_" + db.name)
	c.must("ALTER DATABASE other_" + db.name + " SET pleiad.consistency = 'strong'")
	c.must("COMMENT ON DATABASE other_" + db.name + " IS 'x'")
	c.must("ALTER DATABASE other_" + db.name + " RENAME TO third_" + db.name)
	c.refused("42P04", "CREATE DATABASE third_"+db.name)
	if got := c.same("SELECT count(*)::text FROM pg_database WHERE datname = 'third_" + db.name + "'"); got != "1" {
		t.Errorf("%s databases after CREATE DATABASE failed", got)
	}
	mustExec(t, db.conns[1], "CREATE DATABASE only_there_"+db.name)
	c.refused("42P04", "CREATE DATABASE only_there_"+db.name)
	if got := c.both("SELECT count(*)::text FROM pg_database WHERE datname = 'only_there_" + db.name + "'"); got != [2]string{"0", "1"} {
		t.Errorf("a database that one backend had: %q", got)
	}
	c.must("DROP DATABASE third_" + db.name)
	c.refused("3D000", "DROP DATABASE third_"+db.name)
	c.must("CREATE SCHEMA made CREATE TABLE inside (a int) CREATE INDEX ON inside (a)")
	if got := c.both("SELECT to_regclass('made.inside')::text || to_regnamespace('made')"); got != [2]string{"made.insidemade", "NULL"} {
		t.Errorf("schema with a table: %q", got)
	}
	c.must("CREATE EXTENSION hstore SCHEMA made")
	c.must("DROP SCHEMA made CASCADE")
	if got := c.same("SELECT count(*)::text FROM pg_extension WHERE extname = 'hstore'"); got != "0" {
		t.Errorf("%s extensions left", got)
	}
}
