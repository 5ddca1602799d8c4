-- What users read. Columns are only ever added at the end.

CREATE OR REPLACE VIEW pleiad.backends AS
  SELECT s.name, s.role, s.host, s.port, s.state, s.backend, coalesce(b.home, false) AS home, s.detail, s.version, s.changed,
         s.timeline, s.lsn, s.lag_bytes, s.lag_ms, s.since
  FROM pleiad.server s LEFT JOIN pleiad.backend b ON b.name = s.backend
  ORDER BY b.id, s.role, s.name;

CREATE OR REPLACE VIEW pleiad.tables AS
  SELECT c.relname AS name,
         CASE WHEN s.relid IS NOT NULL THEN 'sharded' WHEN r.relid IS NOT NULL THEN 'reference' ELSE 'local' END AS kind,
         k.key,
         g.modulus AS shards,
         n.nspname AS schema,
         g.id AS colocation,
         CASE WHEN g.id IS NULL THEN NULL WHEN 1 = ANY (g.families) THEN 'murmur3' ELSE 'postgres' END AS hash
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pleiad.sharded s ON s.relid = c.oid
  LEFT JOIN pleiad.reference r ON r.relid = c.oid
  LEFT JOIN pleiad.colocation g ON g.id = s.group_id
  LEFT JOIN LATERAL (
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY e.pos) AS key
    FROM pg_catalog.pg_partitioned_table p
    CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) WITH ORDINALITY AS e (attnum, pos)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = e.attnum
    WHERE p.partrelid = s.relid
  ) k ON true
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname !~ '^pleiad(_[0-9]+)?$' AND n.nspname <> 'information_schema'
  ORDER BY n.nspname, c.relname;

CREATE OR REPLACE VIEW pleiad.shards AS
  SELECT c.relname AS table_name, p.shard, b.name AS backend, t.bytes, t.rows_estimate, n.nspname AS schema
  FROM pleiad.sharded s
  JOIN pg_catalog.pg_class c ON c.oid = s.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pleiad.placement p ON p.group_id = s.group_id
  JOIN pleiad.backend b ON b.id = p.backend
  LEFT JOIN pleiad.shard_stat t ON t.relid = s.relid AND t.shard = p.shard
  ORDER BY n.nspname, c.relname, p.shard;

-- Distributed transactions, while anything of them is left: state says what becomes of every part, here and on other
-- backends. backends are those whose parts recovery has found and not been able to end, and reason says why. A record without owner stands in the way of a decision that comes too late; one of another role
-- than the part's counts for nothing.
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_attribute
             WHERE attrelid = pg_catalog.to_regclass('pleiad.transactions') AND attname = 'outcome') THEN
    DROP VIEW pleiad.transactions; -- its columns had other names
  END IF;
END $$;
CREATE OR REPLACE VIEW pleiad.transactions AS
  SELECT coalesce(r.gid, x.gid, d.gid) AS gid,
         CASE WHEN r.gid IS NULL THEN 'prepared'
              WHEN r.owner = '' OR r.owner <> coalesce(x.owner, d.owner) AND NOT r.trusted THEN 'rolled back'
              ELSE 'committed' END AS state,
         coalesce(nullif(r.owner, ''), x.owner, nullif(d.owner, '')) AS owner,
         pg_catalog.current_database() AS database,
         coalesce(r.decided, x.prepared, d.prepared) AS since,
         pg_catalog.clock_timestamp() - coalesce(r.decided, x.prepared, d.prepared) AS age,
         d.backends,
         coalesce(d.reason, (SELECT 'not known to be complete: ' || pg_catalog.string_agg(pg_catalog.format('backend "%s" is %s', s.backend, s.state), ', ' ORDER BY s.backend)
                             FROM pleiad.server s WHERE r.owner <> '' AND s.role = 'primary' AND s.state <> 'up')) AS reason
  FROM pleiad.commit_record r
  FULL JOIN (SELECT gid, owner, prepared FROM pg_catalog.pg_prepared_xacts
             WHERE database = pg_catalog.current_database() AND pg_catalog.starts_with(gid, 'pleiad_')) x ON x.gid = r.gid
  FULL JOIN (SELECT gid, pg_catalog.min(owner::text)::name AS owner, pg_catalog.min(prepared) AS prepared,
               pg_catalog.string_agg(backend, ', ' ORDER BY backend) AS backends,
               pg_catalog.string_agg(DISTINCT reason, '; ') AS reason
             FROM pleiad.in_doubt GROUP BY gid) d ON d.gid = coalesce(r.gid, x.gid);

GRANT SELECT ON ALL TABLES IN SCHEMA pleiad TO PUBLIC;
REVOKE ALL ON pleiad.secret FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pleiad.shard_schema(int), pleiad.free_name(name, name) FROM PUBLIC;
