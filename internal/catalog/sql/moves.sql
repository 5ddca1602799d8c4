-- Jobs that move shards: what users start and watch. The functions only write a row of pleiad.job; a proxy does the work.

CREATE OR REPLACE FUNCTION pleiad.check_admin() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = pleiad.acting_role())
     AND NOT pg_has_role(pleiad.acting_role(), (SELECT nspowner FROM pg_namespace WHERE nspname = 'pleiad'), 'MEMBER') THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied to move shards',
      HINT = 'Only superusers and members of the service role may.';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION pleiad.start_job(kind text, options jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  job bigint;
BEGIN
  PERFORM pleiad.check_admin();
  INSERT INTO pleiad.job (kind, options, role) VALUES (kind, jsonb_strip_nulls(options), pleiad.acting_role())
    RETURNING id INTO job;
  RETURN job;
END $$;

CREATE OR REPLACE FUNCTION pleiad.known_backend(name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pleiad.backend b WHERE b.name = known_backend.name) THEN
    RAISE undefined_object USING MESSAGE = format('backend "%s" does not exist', name),
      HINT = 'View pleiad.backends lists them.';
  END IF;
  RETURN name;
END $$;

-- The fewest moves to the placement of least imbalance. by is shards, bytes or load; max_rate is bytes a second, such
-- as 50MB. A dry run leaves its moves in pleiad.moves as proposed.
CREATE OR REPLACE FUNCTION pleiad.rebalance(by text DEFAULT 'shards', dry_run boolean DEFAULT false,
  max_parallel int DEFAULT NULL, max_rate text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF by IS NULL OR by NOT IN ('shards', 'bytes', 'load') THEN
    RAISE invalid_parameter_value USING MESSAGE = format('cannot balance by "%s"', by), HINT = 'Use shards, bytes or load.';
  END IF;
  RETURN pleiad.start_job('rebalance', jsonb_build_object('by', by, 'dry_run', dry_run, 'max_parallel', max_parallel,
    'max_rate', pg_size_bytes(max_rate)));
END $$;

-- Moves one shard of a colocation group; the group may be left out while there is only one.
CREATE OR REPLACE FUNCTION pleiad.move_shard(shard int, target text, colocation int DEFAULT NULL,
  max_rate text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  grp int := colocation;
BEGIN
  IF grp IS NULL THEN
    BEGIN
      SELECT id INTO STRICT grp FROM pleiad.colocation;
    EXCEPTION
      WHEN too_many_rows THEN
        RAISE ambiguous_parameter USING MESSAGE = 'there are several colocation groups',
          HINT = 'Say which one: column colocation of view pleiad.tables.';
      WHEN no_data_found THEN
        RAISE undefined_object USING MESSAGE = 'there are no sharded tables';
    END;
  END IF;
  IF NOT EXISTS (SELECT FROM pleiad.placement p WHERE p.group_id = grp AND p.shard = move_shard.shard) THEN
    RAISE undefined_object USING MESSAGE = format('colocation group %s has no shard %s', grp, shard);
  END IF;
  IF (SELECT b.state FROM pleiad.backend b WHERE b.name = pleiad.known_backend(target)) = 'absent' THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('backend "%s" takes no part', target),
      HINT = 'Call pleiad.add_backend() first.';
  END IF;
  RETURN pleiad.start_job('move', jsonb_build_object('group', grp, 'shard', shard, 'target', pleiad.known_backend(target),
    'max_rate', pg_size_bytes(max_rate)));
END $$;

-- Moves every shard of a backend to the others.
CREATE OR REPLACE FUNCTION pleiad.drain(backend text, max_parallel int DEFAULT NULL, max_rate text DEFAULT NULL,
  dry_run boolean DEFAULT false) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT pleiad.start_job('drain', jsonb_build_object('backend', pleiad.known_backend(backend), 'max_parallel', max_parallel,
    'max_rate', pg_size_bytes(max_rate), 'dry_run', dry_run))
$$;

-- Gives a backend that the configuration names all that every backend has: roles, schema objects, reference tables. Then it
-- takes part; rebalance() brings it its share of shards. One that was drained takes shards again.
CREATE OR REPLACE FUNCTION pleiad.add_backend(backend text) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT pleiad.start_job('add_backend', jsonb_build_object('backend', pleiad.known_backend(backend)))
$$;

-- Drains a backend; after that no statement uses it.
CREATE OR REPLACE FUNCTION pleiad.remove_backend(backend text, max_parallel int DEFAULT NULL, max_rate text DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (SELECT b.home FROM pleiad.backend b WHERE b.name = pleiad.known_backend(backend)) THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('backend "%s" is home', backend),
      HINT = 'Home holds the catalog and the local tables, and stays.';
  END IF;
  RETURN pleiad.start_job('remove_backend', jsonb_build_object('backend', backend, 'max_parallel', max_parallel,
    'max_rate', pg_size_bytes(max_rate)));
END $$;

-- Compares the shard map with the partitions, and the backends with each other; pleiad.findings has what differs.
CREATE OR REPLACE FUNCTION pleiad.verify(rel regclass DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT pleiad.start_job('verify', jsonb_build_object('table', rel::oid::bigint))
$$;

-- Asks a job to end. What is under way is undone; moves that are done stay.
CREATE OR REPLACE FUNCTION pleiad.cancel_job(job bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pleiad.check_admin();
  UPDATE pleiad.job j SET state = 'cancelling' WHERE j.id = job AND j.state IN ('queued', 'running');
  RETURN FOUND;
END $$;

-- Lets a job that failed or was cancelled go on with the moves that are left.
CREATE OR REPLACE FUNCTION pleiad.resume_job(job bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pleiad.check_admin();
  UPDATE pleiad.job j SET state = 'queued', detail = '', finished = NULL
    WHERE j.id = job AND j.state IN ('failed', 'cancelled');
  IF FOUND THEN
    IF EXISTS (SELECT FROM pleiad.move m JOIN pleiad.move o USING (group_id, shard) WHERE m.job = resume_job.job AND o.job <> m.job
               AND m.step IN ('cancelled', 'failed') AND o.step NOT IN ('done', 'proposed', 'cancelled', 'failed')) THEN
      RAISE object_in_use USING MESSAGE = format('a shard that job %s would move is moving already', job),
        HINT = 'Resume it when the other job has ended.';
    END IF;
    UPDATE pleiad.move m SET step = 'planned', attempts = 0, finished = NULL WHERE m.job = resume_job.job
      AND m.step IN ('cancelled', 'failed')
      AND EXISTS (SELECT FROM pleiad.placement p WHERE (p.group_id, p.shard, p.backend) = (m.group_id, m.shard, m.source));
    RETURN true;
  END IF;
  RETURN false;
END $$;

CREATE OR REPLACE VIEW pleiad.jobs AS
  SELECT j.id, j.kind, j.state, j.detail,
         count(m.id) FILTER (WHERE m.step = 'done') AS moves_done,
         count(m.id) AS moves,
         coalesce(sum(m.copied), 0)::bigint AS bytes_copied,
         coalesce(sum(m.bytes), 0)::bigint AS bytes,
         max(m.hold_ms) AS worst_hold_ms,
         j.role, j.created, j.started, j.finished, j.options
  FROM pleiad.job j LEFT JOIN pleiad.move m ON m.job = j.id
  GROUP BY j.id ORDER BY j.id;

CREATE OR REPLACE VIEW pleiad.moves AS
  SELECT m.id, m.job, m.group_id AS colocation, m.shard, s.name AS source, t.name AS target, m.step, m.bytes,
         m.copied AS bytes_copied,
         CASE WHEN m.finished IS NULL AND m.changed > m.started
              THEN m.copied / extract(epoch FROM m.changed - m.started)::float8 END AS bytes_per_second,
         m.lag AS lag_bytes, m.hold_ms, m.attempts, m.detail, m.started, m.changed, m.finished,
         (SELECT pg_catalog.string_agg(c.relname, ', ' ORDER BY c.relname) FROM pleiad.sharded x
          JOIN pg_catalog.pg_class c ON c.oid = x.relid WHERE x.group_id = m.group_id) AS tables
  FROM pleiad.move m
  LEFT JOIN pleiad.backend s ON s.id = m.source LEFT JOIN pleiad.backend t ON t.id = m.target
  ORDER BY m.id;

CREATE OR REPLACE VIEW pleiad.findings AS SELECT job, object, backend, problem FROM pleiad.finding ORDER BY 1, 2, 3, 4;

-- A column's options that somebody has set. pg_attver is what minor releases since November 2026 note for themselves.
CREATE OR REPLACE FUNCTION pleiad.column_options(options text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT array_agg(o) FROM unnest(options) o WHERE o NOT LIKE 'pg\_attver=%'
$$;

-- What must stay as it is while a shard moves: the group's tables, their columns, constraints and indexes, and what is
-- set on the shard's partitions. Asked on the backend that has the shard.
CREATE OR REPLACE FUNCTION pleiad.shard_shape(parents regclass[], shard int) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT md5(coalesce(string_agg(concat_ws(E'\n', l.nspname, l.relname, pg_get_userbyid(c.relowner), c.reloptions::text, pleiad.shape(l.parent),
    (SELECT string_agg(concat_ws(' ', a.attname, a.attstattarget, a.attstorage, a.attcompression, pleiad.column_options(a.attoptions)), ',' ORDER BY a.attname)
     FROM pg_attribute a WHERE a.attrelid = l.relid AND a.attnum > 0 AND NOT a.attisdropped)), E'\n' ORDER BY l.relname), ''))
  FROM pleiad.local_shard l JOIN pg_class c ON c.oid = l.relid
  WHERE l.shard = shard_shape.shard AND l.parent = ANY (parents)
$$;

-- What a copy of one shard's partition needs to be like it, as statements for another backend: its indexes (1), the
-- constraints that own some of them (2), and what is set on it (3).
CREATE OR REPLACE FUNCTION pleiad.shard_definition(rel regclass) RETURNS TABLE (phase int, name name, sql text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH c AS (
    SELECT c.*, format('%I.%I', n.nspname, c.relname) AS full_name, n.nspname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel
  ), idx AS (
    SELECT i.*, x.relname AS index_name, k.conname, k.contype, k.condeferrable, k.condeferred
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
    WHERE i.indrelid = rel
  )
  SELECT 1, index_name, pg_get_indexdef(indexrelid) FROM idx
  UNION ALL
  SELECT 2, conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s%s', c.full_name, conname,
      CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, index_name,
      CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END, CASE WHEN condeferred THEN ' INITIALLY DEFERRED' ELSE '' END)
    FROM idx, c WHERE conname IS NOT NULL
  UNION ALL
  -- Rows that were there before such a check need not satisfy it.
  SELECT 2, k.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.full_name, k.conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k, c WHERE k.conrelid = rel AND k.contype = 'c' AND NOT k.convalidated
  UNION ALL
  SELECT 3, a.attname, format('ALTER TABLE %s ALTER COLUMN %2$I SET STATISTICS %3$s, ALTER COLUMN %2$I SET STORAGE %4$s%5$s', c.full_name,
      a.attname, coalesce(a.attstattarget, -1),
      CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END,
      CASE a.attcompression WHEN 'p' THEN format(', ALTER COLUMN %I SET COMPRESSION pglz', a.attname)
        WHEN 'l' THEN format(', ALTER COLUMN %I SET COMPRESSION lz4', a.attname) ELSE '' END)
    FROM pg_attribute a, c WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT 3, a.attname, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', c.full_name, a.attname,
      (SELECT string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(pleiad.column_options(a.attoptions)) o))
    FROM pg_attribute a, c WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped AND pleiad.column_options(a.attoptions) IS NOT NULL
  UNION ALL
  SELECT 3, 'storage', format('ALTER TABLE %s SET (%s)', c.full_name,
      (SELECT string_agg(format('%s%I = %L', o.prefix, split_part(o.opt, '=', 1), substr(o.opt, strpos(o.opt, '=') + 1)), ', ')
       FROM (SELECT '' AS prefix, unnest(c.reloptions) AS opt
             UNION ALL SELECT 'toast.', unnest(t.reloptions) FROM pg_class t WHERE t.oid = c.reltoastrelid) o))
    FROM c WHERE c.reloptions IS NOT NULL OR EXISTS (SELECT FROM pg_class t WHERE t.oid = c.reltoastrelid AND t.reloptions IS NOT NULL)
  UNION ALL
  SELECT 3, 'statistics', format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', c.nspname, idx.index_name, a.attnum, a.attstattarget)
    FROM idx, c, pg_attribute a WHERE a.attrelid = idx.indexrelid AND a.attstattarget >= 0
  UNION ALL
  SELECT 3, 'security', format('ALTER TABLE %s %s ROW LEVEL SECURITY, %s ROW LEVEL SECURITY', c.full_name,
      CASE WHEN c.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END, CASE WHEN c.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END)
    FROM c WHERE c.relrowsecurity OR c.relforcerowsecurity
  UNION ALL
  SELECT 3, 'comment', format('COMMENT ON TABLE %s IS %L', c.full_name, obj_description(rel, 'pg_class')) FROM c
    WHERE obj_description(rel, 'pg_class') IS NOT NULL
  UNION ALL
  SELECT 3, 'comment', format('COMMENT ON COLUMN %s.%I IS %L', c.full_name, a.attname, col_description(rel, a.attnum))
    FROM pg_attribute a, c WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped AND col_description(rel, a.attnum) IS NOT NULL
  UNION ALL
  SELECT 3, 'grant', format('GRANT %s ON %s TO %s%s', x.privilege_type, c.full_name,
      CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
      CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM c, aclexplode(c.relacl) x WHERE x.grantee <> c.relowner
  ORDER BY 1, 2, 3
$$;

-- The operators that compare the columns of a table's primary key, for statements that find rows by it.
CREATE OR REPLACE FUNCTION pleiad.key_operators(rel regclass) RETURNS TABLE (name name, operator text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.attname, format('OPERATOR(%I.%s)', n.nspname, o.oprname)
  FROM pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) AS k (attnum, opclass)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  JOIN pg_opclass c ON c.oid = k.opclass
  JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3
  JOIN pg_operator o ON o.oid = m.amopopr
  JOIN pg_namespace n ON n.oid = o.oprnamespace
  WHERE i.indrelid = rel AND i.indisprimary
$$;
