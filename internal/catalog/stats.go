package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// shardSize is one row of pleiad.local_shard_sizes.
type shardSize struct {
	Schema, Table string
	Shard         int32
	Bytes, Rows   int64
}

// RefreshStats asks every backend for the sizes of its shards, all at once, and writes them where view
// pleiad.shards reads them. home and conns are connections of the service role; home may be one of conns. A
// backend that does not answer leaves its rows as they were, and its error is in the result: the caller decides
// if sizes from before will do.
func RefreshStats(ctx context.Context, home *pgx.Conn, conns []*pgx.Conn) error {
	sizes := make([][]shardSize, len(conns))
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rows, err := c.Query(ctx, "SELECT nsp, rel, shard, bytes, rows_estimate FROM pleiad.local_shard_sizes()")
			if err == nil {
				sizes[i], err = pgx.CollectRows(rows, pgx.RowToStructByPos[shardSize])
			}
			errs[i] = err
		}()
	}
	wg.Wait()
	var all []shardSize
	for _, s := range sizes {
		all = append(all, s...)
	}
	if err := writeStats(ctx, home, all); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("refresh shard sizes: %w", err)
	}
	return nil
}

func writeStats(ctx context.Context, home *pgx.Conn, all []shardSize) error {
	n := len(all)
	schemas, tables, shards := make([]string, n), make([]string, n), make([]int32, n)
	bytes, rows := make([]int64, n), make([]int64, n)
	for i, s := range all {
		schemas[i], tables[i], shards[i], bytes[i], rows[i] = s.Schema, s.Table, s.Shard, s.Bytes, s.Rows
	}
	// A shard in the middle of a move may be on two backends: the larger counts.
	_, err := home.Exec(ctx, `INSERT INTO pleiad.shard_stat AS o (relid, shard, bytes, rows_estimate)
		SELECT c.oid, s.shard, max(s.bytes), max(s.rows)
		FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS s (nsp, rel, shard, bytes, rows)
		JOIN pg_catalog.pg_namespace n ON n.nspname = s.nsp
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.rel
		JOIN pleiad.sharded t ON t.relid = c.oid
		GROUP BY c.oid, s.shard ORDER BY c.oid, s.shard
		ON CONFLICT (relid, shard) DO UPDATE SET bytes = excluded.bytes, rows_estimate = excluded.rows_estimate
		WHERE (o.bytes, o.rows_estimate) <> (excluded.bytes, excluded.rows_estimate)`,
		schemas, tables, shards, bytes, rows)
	return err
}
