package catalog

import (
	"testing"
)

func TestRefreshStatsShowsEveryShard(t *testing.T) {
	db, c := newClient(t)
	c.must("CREATE TABLE m (k int PRIMARY KEY, v text) PARTITION BY HASH (k)")
	for b, conn := range c.conns {
		for shard := range 4 {
			if owner, _ := c.env.Schema.Map.Owner(1, uint32(shard)); int(owner) != b {
				continue
			}
			mustExec(t, conn, "INSERT INTO m SELECT k, 'x' FROM generate_series(1, 400) k WHERE satisfies_hash_partition('m'::regclass, 4, "+string(rune('0'+shard))+", k)")
		}
		mustExec(t, conn, "ANALYZE m")
	}
	if got := text(t, c.conns[0], "SELECT count(*)::text FROM pleiad.shards WHERE bytes IS NULL AND rows_estimate IS NULL AND table_name = 'm'"); got != "4" {
		t.Errorf("%s shards are known without sizes before a refresh", got)
	}
	if err := RefreshStats(t.Context(), db.conns[0], db.conns); err != nil {
		t.Fatal(err)
	}
	if got := text(t, c.conns[0], "SELECT sum(rows_estimate)::text FROM pleiad.shards WHERE bytes > 0"); got != "400" {
		t.Errorf("shards hold %s rows, want 400", got)
	}
	if got := text(t, c.conns[0], "SELECT count(DISTINCT backend)::text || ' ' || count(DISTINCT shard) FROM pleiad.shards"); got != "2 4" {
		t.Errorf("backends and shards: %s", got)
	}
	if got := text(t, c.conns[0], "SELECT concat_ws(' ', name, kind, key, shards, schema, hash) FROM pleiad.tables"); got != "m sharded k 4 public postgres" {
		t.Errorf("pleiad.tables: %s", got)
	}
}
