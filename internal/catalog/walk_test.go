package catalog

import (
	"strings"
	"testing"
)

// partitions lists a table's partitions with their owners; indexes how many valid indexes they have.
const (
	partitions = "SELECT string_agg(format('%s.%s %s', nspname, relname, pg_get_userbyid(relowner)), ', ' ORDER BY shard) FROM pleiad.local_shard"
	columns    = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = "
)

func newClient(t *testing.T) (*testDB, *client) {
	t.Helper()
	db := newDB(t)
	for _, c := range db.conns {
		mustExec(t, c, "DO $$ BEGIN CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
		mustExec(t, c, "GRANT CREATE ON SCHEMA public TO ann, bob; GRANT ALL ON DATABASE "+db.name+" TO ann")
	}
	return db, db.client("ann")
}

func TestShardedTableFromCreateToDrop(t *testing.T) {
	_, c := newClient(t)
	c.must("CREATE TABLE meetings (room text, id text, doc jsonb, PRIMARY KEY (room, id)) PARTITION BY HASH (room)")
	owners, ok := c.env.Schema.Map.Owners(1)
	if !ok || len(owners) != 4 {
		t.Fatalf("owners of group 1: %v", owners)
	}
	for b, got := range c.both("SELECT string_agg(shard::text, ' ' ORDER BY shard) FROM pleiad.local_shard") {
		var want []string
		for shard, o := range owners {
			if int(o) == b {
				want = append(want, string(rune('0'+shard)))
			}
		}
		if got != strings.Join(want, " ") {
			t.Errorf("backend %d has shards %s, catalog says %v", b, got, want)
		}
	}
	m := c.env.Schema.Relations["public"]["meetings"]
	if m == nil || m.Modulus != 4 || len(m.Key) != 1 || m.Columns[m.Key[0]].Name != "room" || len(m.PrimKey) != 2 {
		t.Fatalf("snapshot has %+v", m)
	}
	c.must("ALTER TABLE meetings ADD COLUMN n int DEFAULT 3")
	c.must("CREATE INDEX by_doc ON meetings USING gin (doc)")
	c.must("CREATE INDEX CONCURRENTLY by_n ON meetings (n) WHERE n > 0")
	if got := c.same("SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = 'meetings'::regclass"); got != "by_doc true, by_n true, meetings_pkey true" {
		t.Errorf("indexes: %s", got)
	}
	if got := c.both("SELECT bool_and(indisvalid AND relispartition)::text FROM pg_index JOIN pleiad.local_shard ON indrelid = relid JOIN pg_class c ON c.oid = indexrelid"); got != [2]string{"true", "true"} {
		t.Errorf("partitions' indexes are valid and attached: %v", got)
	}
	for b := range 2 {
		nsp := text(t, c.conns[b], "SELECT min(nspname) FROM pleiad.local_shard")
		if err := c.exec([]int{b}, "CREATE TABLE "+nsp+".mine (a int)"); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("CREATE TABLE in %s: %v", nsp, err)
		}
	}
	c.must("DROP INDEX CONCURRENTLY by_n")
	c.must("ALTER TABLE meetings RENAME TO rooms")
	c.must("CREATE TABLE meetings (room text) PARTITION BY HASH (room)")
	c.must("DROP TABLE meetings")
	c.same(columns + "'rooms'::regclass")
	c.must("CREATE SCHEMA app")
	c.must("ALTER TABLE rooms SET SCHEMA app")
	for b, got := range c.both(partitions) {
		for part := range strings.SplitSeq(got, ", ") {
			if !strings.HasSuffix(part, ".app.rooms ann") {
				t.Errorf("backend %d has partition %s", b, part)
			}
		}
	}
	c.must("ALTER SCHEMA app RENAME TO apps")
	c.must("TRUNCATE apps.rooms")
	c.must("VACUUM (ANALYZE) apps.rooms")
	c.must("REINDEX TABLE CONCURRENTLY apps.rooms")
	c.must("DROP SCHEMA apps CASCADE")
	if got := c.same("SELECT count(*)::text FROM pg_class WHERE relname LIKE '%rooms%' OR relname LIKE '%meetings%'"); got != "0" {
		t.Errorf("%s relations are left", got)
	}
	c.must("CREATE TABLE other (a int)")
	if got := text(t, c.conns[0], "SELECT count(*)::text FROM pleiad.sharded"); got != "0" {
		t.Errorf("%s sharded tables are still registered", got)
	}
}

func TestOwnersAndRightsFollow(t *testing.T) {
	db, c := newClient(t)
	c.must("CREATE TABLE m (k int PRIMARY KEY, v int) PARTITION BY HASH (k)")
	for _, conn := range db.conns {
		mustExec(t, conn, "GRANT bob TO ann")
	}
	c.must("ALTER TABLE m OWNER TO bob")
	for b, got := range c.both(partitions) {
		if strings.Contains(got, " ann") || !strings.Contains(got, " bob") {
			t.Errorf("backend %d: %s", b, got)
		}
	}
	for _, conn := range db.conns {
		mustExec(t, conn, "REVOKE bob FROM ann")
	}
	c.refused("42501", "ALTER TABLE m ADD COLUMN w int")
	c.refused("0A000", "SELECT pleiad.begin_ddl(), pleiad.register_reference('m')")
	if err := c.exec([]int{0}, "SELECT pleiad.begin_ddl(), pleiad.register_reference('m')"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("register_reference of another's table: %v", err)
	}
	if err := c.exec([]int{0}, "SELECT pleiad.create_shards('m', 4, '{0}')"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("create_shards on another's table: %v", err)
	}
	for _, sql := range []string{"INSERT INTO pleiad.reference VALUES (1)", "UPDATE pleiad.epoch SET epoch = 0",
		"SELECT pleiad.shard_schema(99)"} {
		if err := c.exec([]int{0}, sql); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s as a plain user: %v", sql, err)
		}
	}
}

func TestOddNamesOfRolesSchemasAndTables(t *testing.T) {
	db, _ := newClient(t)
	admin := db.client("postgres")
	role := "Odd \"role\"." + db.name
	quoted := text(t, db.conns[0], "SELECT quote_ident($1)", role)
	admin.must("CREATE ROLE " + quoted + " LOGIN")
	admin.must("GRANT ALL ON DATABASE " + db.name + " TO " + quoted)
	c := db.client(role)
	c.must(`CREATE SCHEMA "S.x"`)
	c.must(`CREATE TABLE "S.x"."T ""q""" ("K k" int PRIMARY KEY, v int) PARTITION BY HASH ("K k")`)
	c.must(`CREATE INDEX ON "S.x"."T ""q""" (v)`)
	c.must(`CREATE INDEX CONCURRENTLY "I i" ON "S.x"."T ""q""" (v) WHERE "K k" > 0`)
	c.must(`ALTER TABLE "S.x"."T ""q""" RENAME TO "U'u"`)
	c.must(`DROP INDEX "S.x"."I i"`)
	if got := c.same("SELECT count(*)::text FROM pg_namespace n, aclexplode(nspacl) a WHERE nspname ~ '^pleiad_' AND privilege_type = 'CREATE' AND grantee <> nspowner"); got != "0" {
		t.Errorf("%s rights to create in shard schemas are left", got)
	}
	c.must(`DROP SCHEMA "S.x" CASCADE`)
	admin.must("REVOKE ALL ON DATABASE " + db.name + " FROM " + quoted)
	for _, conn := range c.conns {
		conn.Close(t.Context())
	}
	admin.must("DROP ROLE " + quoted)
}

func TestFailedChangeLeavesNothingAnywhere(t *testing.T) {
	db, c := newClient(t)
	mustExec(t, db.conns[1], "CREATE TABLE public.clash (a int)")
	c.refused("42P07", "CREATE TABLE clash (k int) PARTITION BY HASH (k)")
	if got := text(t, db.conns[0], "SELECT to_regclass('public.clash')::text"); got != "NULL" {
		t.Errorf("home kept %s", got)
	}
	if c.env.Schema.Epoch != 2 {
		t.Errorf("epoch %d moved with a change that failed", c.env.Schema.Epoch)
	}
	c.must("CREATE TABLE m (k int, v int) PARTITION BY HASH (k)")
	c.must("CREATE TABLE r (k int, v int) WITH (pleiad.reference)")
	for b := range 2 {
		for shard := range 4 {
			sql := "INSERT INTO m SELECT k % 40, 1 FROM generate_series(1, 80) k WHERE satisfies_hash_partition('m'::regclass, 4, " + string(rune('0'+shard)) + ", k % 40)"
			if owner, _ := c.env.Schema.Map.Owner(1, uint32(shard)); int(owner) == b {
				mustExec(t, c.conns[b], sql)
			}
		}
	}
	c.refused("23505", "CREATE UNIQUE INDEX CONCURRENTLY u ON m (k)")
	c.refused("0A000", "CREATE UNIQUE INDEX u ON m (v)")
	if got := c.same("SELECT count(*)::text FROM pg_class WHERE relkind IN ('i', 'I') AND relname !~ '^pg_' AND relnamespace::regnamespace::text ~ '^(public|pleiad_.*)$'"); got != "0" {
		t.Errorf("%s indexes are left", got)
	}
}
