package proxy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/executor"
)

// derivedSQL gives the partitions on a backend with their tables, and the constraints and unique indexes whose names
// PostgreSQL made, for partitions and for foreign keys to them, with the user's own. Partitions that the user has made, of a
// local table, keep their names.
const derivedSQL = `WITH RECURSIVE shard AS (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ~ '^pleiad_[0-9]+$'
), up AS (
  SELECT oid, conparentid AS at FROM pg_catalog.pg_constraint WHERE conparentid <> 0
  UNION ALL
  SELECT u.oid, p.conparentid FROM up u JOIN pg_catalog.pg_constraint p ON p.oid = u.at WHERE p.conparentid <> 0
), names AS (
  SELECT c.conrelid AS rel, c.conname AS name, top.conname AS own
  FROM up u JOIN pg_catalog.pg_constraint c ON c.oid = u.oid JOIN pg_catalog.pg_constraint top ON top.oid = u.at
  WHERE top.conparentid = 0 AND c.conname <> top.conname
  AND (c.conrelid IN (SELECT oid FROM shard) OR c.confrelid IN (SELECT oid FROM shard))
  UNION
  SELECT x.indrelid, c.relname, top.relname
  FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_index x ON x.indexrelid = i.inhrelid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_class top ON top.oid = i.inhparent
  WHERE c.relkind = 'i' AND c.relname <> top.relname AND x.indrelid IN (SELECT oid FROM shard)
)
SELECT pg_catalog.json_build_object(
  'tables', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname, pn.nspname, p.relname))
     FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
     JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE c.relkind = 'r' AND n.nspname ~ '^pleiad_[0-9]+$'),
  'names', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname, d.name, d.own))
     FROM names d JOIN pg_catalog.pg_class c ON c.oid = d.rel JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace))::text`

// derivedOf gives a backend's derived names, read when an error first needs them after a schema change.
func (db *Database) derivedOf(b int) *executor.Derived {
	if d := db.derived[b].Load(); d != nil {
		return d
	}
	ctx, stop := db.srv.controlContext()
	defer stop()
	d, err := db.loadDerived(ctx, b)
	if err != nil {
		db.srv.log.Warn("derived_names_not_read", "database", db.name, "backend", db.targets[b].Name, "error", err)
		return nil
	}
	db.derived[b].Store(d)
	return d
}

func (db *Database) loadDerived(ctx context.Context, b int) (*executor.Derived, error) {
	var text []byte
	err := db.srv.control.read(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, derivedSQL).Scan(&text)
	})
	if err != nil {
		return nil, fmt.Errorf("read derived names: %w", err)
	}
	var in struct {
		Tables [][4]string `json:"tables"`
		Names  [][4]string `json:"names"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("decode derived names: %w", err)
	}
	d := &executor.Derived{Tables: map[string][2]string{}, Parts: map[string]string{}, Constraints: map[string]string{}}
	for _, t := range in.Tables {
		d.Tables[t[0]+"\x00"+t[1]] = [2]string{t[2], t[3]}
		d.Parts[t[1]] = t[3]
	}
	for _, n := range in.Names {
		d.Constraints[n[0]+"\x00"+n[1]+"\x00"+n[2]] = n[3]
	}
	return d, nil
}
