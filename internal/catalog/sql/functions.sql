-- Functions of the catalog, replaced as a whole at every upgrade. Those that change it are SECURITY DEFINER
-- with a fixed search_path and check the rights of the role that acts.

GRANT USAGE ON SCHEMA pleiad TO PUBLIC;

-- The role whose rights count: SET ROLE's, or the session's user. Inside a SECURITY DEFINER function
-- current_user is the definer, while the setting "role" stays the caller's.
CREATE OR REPLACE FUNCTION pleiad.acting_role() RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END
$$;

CREATE OR REPLACE FUNCTION pleiad.check_owner(rel oid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  owner oid;
  relname name;
BEGIN
  SELECT c.relowner, c.relname INTO owner, relname FROM pg_class c WHERE c.oid = rel;
  IF NOT FOUND THEN
    RAISE undefined_table USING MESSAGE = format('relation with OID %s does not exist', rel);
  END IF;
  IF NOT pg_has_role(pleiad.acting_role(), owner, 'USAGE') THEN
    RAISE insufficient_privilege USING MESSAGE = format('must be owner of table %s', relname);
  END IF;
END $$;

-- The next value of an identity column's sequence. Whoever may insert into the table, or into a view over it, gets one without
-- a right on the sequence, as from PostgreSQL itself.
CREATE OR REPLACE FUNCTION pleiad.next_identity(seq regclass) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  acting name := pleiad.acting_role();
  rel oid;
BEGIN
  SELECT d.refobjid INTO rel FROM pg_depend d
  WHERE d.classid = 'pg_class'::regclass AND d.objid = seq AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i';
  IF NOT FOUND THEN
    RAISE insufficient_privilege USING MESSAGE = format('permission denied for sequence %s', seq);
  END IF;
  IF NOT has_any_column_privilege(acting, rel, 'INSERT, UPDATE') AND NOT EXISTS (
    WITH RECURSIVE over(id) AS (
      SELECT rel
      UNION
      SELECT w.ev_class FROM over JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = over.id
      JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    )
    SELECT FROM over WHERE has_any_column_privilege(acting, id, 'INSERT, UPDATE')) THEN
    RAISE insufficient_privilege
      USING MESSAGE = format('permission denied for table %s', (SELECT relname FROM pg_class WHERE oid = rel));
  END IF;
  RETURN nextval(seq);
END $$;

-- First step of every schema change: one at a time in the whole cluster. Returns the epoch that the
-- change starts from; a plan made from another one is stale. command is for PostgreSQL's own error.
CREATE OR REPLACE FUNCTION pleiad.begin_ddl(command text DEFAULT 'DDL') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before bigint;
BEGIN
  IF current_setting('transaction_read_only')::boolean THEN
    RAISE read_only_sql_transaction USING MESSAGE = format('cannot execute %s in a read-only transaction', command);
  END IF;
  PERFORM pg_advisory_xact_lock(1886151017, 1);
  UPDATE pleiad.epoch e SET epoch = e.epoch + 1 RETURNING e.epoch - 1 INTO STRICT before;
  -- An OID may be given out again once its relation is gone.
  DELETE FROM pleiad.sharded t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid);
  DELETE FROM pleiad.reference t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid);
  DELETE FROM pleiad.table_option t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid);
  DELETE FROM pleiad.everywhere_view t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid);
  DELETE FROM pleiad.shard_stat t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid);
  RETURN before;
END $$;

-- First step of a statement that is known to change nothing (IF NOT EXISTS of what exists): that must still be so.
CREATE OR REPLACE FUNCTION pleiad.lock_ddl() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1886151017, 1);
  RETURN (SELECT epoch FROM pleiad.epoch);
END $$;

-- What must be alike on every backend that has the relation: PostgreSQL chooses names by itself, and on home
-- there are more names to keep clear of.
CREATE OR REPLACE FUNCTION pleiad.shape(rel regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'postgres' AS $$
  SELECT md5(concat_ws(E'\n',
    (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                       pg_get_expr(d.adbin, d.adrelid), pg_get_serial_sequence(rel::text, a.attname)), ',' ORDER BY a.attnum)
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ',' ORDER BY conname)
     FROM pg_constraint WHERE conrelid = rel AND conparentid = 0),
    (SELECT string_agg(pg_get_indexdef(indexrelid), ',' ORDER BY indexrelid::regclass::text)
     FROM pg_index WHERE indrelid = rel)))
$$;

-- The name of a table's partitions in the shard schemas: its own in schema public, "schema.name" elsewhere;
-- with a hash where that could be ambiguous or is over 63 bytes. Go's ShardRelation is its equal.
CREATE OR REPLACE FUNCTION pleiad.shard_relation(nsp text, rel text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  full_name text := CASE nsp WHEN 'public' THEN rel ELSE nsp || '.' || rel END;
  cut int;
BEGIN
  IF position('.' IN nsp || rel) = 0 AND octet_length(full_name) <= 63 THEN
    RETURN full_name;
  END IF;
  cut := least(length(full_name), 52);
  WHILE octet_length(left(full_name, cut)) > 52 LOOP
    cut := cut - 1;
  END LOOP;
  RETURN left(full_name, cut) || '_' || left(md5(format('"%s"."%s"', replace(nsp, '"', '""'), replace(rel, '"', '""'))), 10);
END $$;

-- Gives the shard schema n, made if missing. It holds partitions only and is nobody's to create in; a
-- table's owner needs USAGE to build an index on a partition concurrently.
CREATE OR REPLACE FUNCTION pleiad.shard_schema(n int) RETURNS name
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  nsp name := 'pleiad_' || n;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = nsp) THEN
    EXECUTE format('CREATE SCHEMA %I', nsp);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO PUBLIC', nsp);
  END IF;
  RETURN nsp;
END $$;

-- Index names in a shard schema mean nothing: one that PostgreSQL chose gives way to a partition.
CREATE OR REPLACE FUNCTION pleiad.free_name(nsp name, rel name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  taken oid := (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = nsp AND c.relname = rel AND c.relkind = 'i');
BEGIN
  IF taken IS NOT NULL THEN
    EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', nsp, rel, 'index_' || taken);
  END IF;
END $$;

-- Makes the partitions of a new sharded table that this backend owns, with these storage parameters.
CREATE OR REPLACE FUNCTION pleiad.create_shards(rel regclass, modulus int, shards int[],
  names text[] DEFAULT '{}', vals text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET default_tablespace = '' AS $$
DECLARE
  parent record;
  shard int;
  nsp name;
  part name;
  storage text;
BEGIN
  PERFORM pleiad.check_owner(rel);
  SELECT ' WITH (' || string_agg(format('%s = %L', (SELECT string_agg(quote_ident(w), '.') FROM string_to_table(n, '.') w), v), ', ') || ')'
    INTO storage FROM unnest(names, vals) AS o (n, v);
  SELECT c.relkind, p.partstrat, r.rolname AS owner, pleiad.shard_relation(n.nspname, c.relname) AS part
    INTO STRICT parent
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
    LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
    WHERE c.oid = rel;
  IF parent.relkind <> 'p' OR parent.partstrat IS DISTINCT FROM 'h' THEN
    RAISE wrong_object_type USING MESSAGE = format('%s is not partitioned by hash', rel);
  END IF;
  -- Building an index evaluates its expressions as the partition's owner, who is not the caller yet.
  IF EXISTS (SELECT FROM pg_index WHERE indrelid = rel AND (indexprs IS NOT NULL OR indpred IS NOT NULL)) THEN
    RAISE feature_not_supported USING MESSAGE = format('%s has an index on an expression already', rel),
      HINT = 'Create the table first and the index by a statement of its own.';
  END IF;
  part := parent.part;
  FOREACH shard IN ARRAY shards LOOP
    nsp := pleiad.shard_schema(shard);
    PERFORM pleiad.free_name(nsp, part);
    EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES WITH (MODULUS %s, REMAINDER %s)%s',
                   nsp, part, rel, modulus, shard, storage);
    IF parent.owner <> current_user THEN
      EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', nsp, part, parent.owner);
    END IF;
  END LOOP;
END $$;

-- Partitions in the shard schemas, of every sharded table with shards on this backend.
CREATE OR REPLACE VIEW pleiad.local_shard AS
  SELECT i.inhparent AS parent, c.oid AS relid, n.nspname, c.relname, c.relowner,
         substr(n.nspname, 8)::int AS shard
  FROM pg_catalog.pg_namespace n
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
  JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
  WHERE n.nspname ~ '^pleiad_[0-9]+$';

-- Gives partitions the name and owner that their parents have now. Anyone may: it decides nothing. Two
-- passes, because tables may have swapped names.
CREATE OR REPLACE FUNCTION pleiad.sync_shards() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  s record;
  misnamed record;
  renamed oid[] := '{}';
BEGIN
  FOR s IN SELECT l.nspname, l.relname, r.rolname
           FROM pleiad.local_shard l JOIN pg_class p ON p.oid = l.parent JOIN pg_roles r ON r.oid = p.relowner
           WHERE l.relowner <> p.relowner LOOP
    EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', s.nspname, s.relname, s.rolname);
  END LOOP;
  FOR s IN SELECT l.relid, l.nspname, l.relname
           FROM pleiad.local_shard l JOIN pg_class p ON p.oid = l.parent
           JOIN pg_namespace n ON n.oid = p.relnamespace
           WHERE l.relname <> pleiad.shard_relation(n.nspname, p.relname) LOOP
    EXECUTE format('ALTER TABLE %I.%I RENAME TO %I', s.nspname, s.relname, 'renamed_' || s.relid);
    renamed := renamed || s.relid;
  END LOOP;
  FOR s IN SELECT l.nspname, l.relname, pleiad.shard_relation(n.nspname, p.relname)::name AS part
           FROM pleiad.local_shard l JOIN pg_class p ON p.oid = l.parent
           JOIN pg_namespace n ON n.oid = p.relnamespace
           WHERE l.relid = ANY (renamed) LOOP
    PERFORM pleiad.free_name(s.nspname, s.part);
    EXECUTE format('ALTER TABLE %I.%I RENAME TO %I', s.nspname, s.relname, s.part);
  END LOOP;
END $$;

-- The partition key's types and hash families as the tables of the catalog have them.
CREATE OR REPLACE FUNCTION pleiad.partition_key(rel oid, OUT key_types oid[], OUT families int[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  k record;
BEGIN
  FOR k IN
    SELECT a.attname, CASE a.atttypid WHEN 1043 THEN 25 ELSE a.atttypid END AS typ, o.collisdeterministic,
           CASE WHEN f.opfname = 'murmur3_ops' AND fn.nspname = 'pleiad' THEN 1
                WHEN fn.nspname = 'pg_catalog' AND c.opcdefault THEN 0 END AS family
    FROM pg_partitioned_table p
    CROSS JOIN LATERAL unnest(p.partattrs::int2[], p.partclass::oid[], p.partcollation::oid[])
      WITH ORDINALITY AS e (attnum, opclass, coll, pos)
    LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = e.attnum AND e.attnum > 0
    LEFT JOIN pg_opclass c ON c.oid = e.opclass
    LEFT JOIN pg_opfamily f ON f.oid = c.opcfamily
    LEFT JOIN pg_namespace fn ON fn.oid = f.opfnamespace
    LEFT JOIN pg_collation o ON o.oid = e.coll
    WHERE p.partrelid = rel ORDER BY e.pos
  LOOP
    IF k.attname IS NULL THEN
      RAISE feature_not_supported USING MESSAGE = 'a sharded table cannot have an expression as its key',
        HINT = 'Name columns in PARTITION BY HASH.';
    END IF;
    IF k.collisdeterministic IS FALSE THEN
      RAISE feature_not_supported
        USING MESSAGE = format('key column "%s" has a nondeterministic collation', k.attname),
              HINT = 'Give the column a deterministic collation.';
    END IF;
    IF k.family IS NULL THEN
      RAISE feature_not_supported
        USING MESSAGE = format('key column "%s" has an operator class that pleiad does not know', k.attname),
              HINT = 'Use the default operator class or pleiad.murmur3_ops.';
    END IF;
    key_types := key_types || k.typ;
    families := families || k.family;
  END LOOP;
END $$;

-- Registers a table whose partitions are made in the same transaction. owners, one backend id a shard, is the
-- placement of a new group, or NULL for a group that exists.
CREATE OR REPLACE FUNCTION pleiad.register_sharded(rel regclass, grp int, modulus int, owners int[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  key record;
BEGIN
  PERFORM pleiad.check_owner(rel);
  SELECT * INTO key FROM pleiad.partition_key(rel);
  IF key.key_types IS NULL THEN
    RAISE wrong_object_type USING MESSAGE = format('%s is not partitioned', rel);
  END IF;
  IF owners IS NOT NULL THEN
    IF cardinality(owners) <> modulus THEN
      RAISE invalid_parameter_value USING MESSAGE = format('%s owners for %s shards', cardinality(owners), modulus);
    END IF;
    BEGIN
      INSERT INTO pleiad.colocation (id, key_types, families, modulus)
        VALUES (grp, key.key_types, key.families, modulus);
    EXCEPTION WHEN unique_violation THEN
      RAISE serialization_failure USING MESSAGE = 'the schema changed while the statement was planned';
    END;
    INSERT INTO pleiad.placement (group_id, shard, backend)
      SELECT grp, o.pos - 1, o.backend FROM unnest(owners) WITH ORDINALITY AS o (backend, pos);
  ELSIF NOT EXISTS (SELECT FROM pleiad.colocation g WHERE g.id = grp AND g.key_types = key.key_types
                    AND g.families = key.families AND g.modulus = register_sharded.modulus) THEN
    RAISE serialization_failure USING MESSAGE = 'the schema changed while the statement was planned';
  END IF;
  INSERT INTO pleiad.sharded (relid, group_id) VALUES (rel, grp);
END $$;

CREATE OR REPLACE FUNCTION pleiad.register_reference(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pleiad.check_owner(rel);
  IF (SELECT relkind <> 'r' OR relpersistence <> 'p' FROM pg_class WHERE oid = rel) THEN
    RAISE feature_not_supported USING MESSAGE = format('%s cannot be a reference table', rel);
  END IF;
  INSERT INTO pleiad.reference (relid) VALUES (rel);
END $$;

-- Notes whether transactions that write a table wait for standbys.
CREATE OR REPLACE FUNCTION pleiad.register_replication(rel regclass, sync boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pleiad.check_owner(rel);
  IF (SELECT relkind NOT IN ('r', 'p') OR relpersistence <> 'p' FROM pg_class WHERE oid = rel) THEN
    RAISE wrong_object_type USING MESSAGE = format('%s is not a table that standbys have', rel);
  END IF;
  DELETE FROM pleiad.table_option WHERE relid = rel;
  IF sync THEN
    INSERT INTO pleiad.table_option (relid, sync) VALUES (rel, true);
  END IF;
END $$;

-- Notes whether a view exists on every backend.
CREATE OR REPLACE FUNCTION pleiad.register_view(rel regclass, everywhere boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pleiad.check_owner(rel);
  DELETE FROM pleiad.everywhere_view WHERE relid = rel;
  IF everywhere THEN
    INSERT INTO pleiad.everywhere_view (relid) VALUES (rel);
  END IF;
END $$;

-- Runs sql with the caller's rights and settings if the object it is about exists on this backend.
CREATE OR REPLACE FUNCTION pleiad.run_if(present boolean, sql text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF present THEN
    EXECUTE sql;
  END IF;
END $$;

-- Creates a function on a backend that need not have the tables its body reads.
CREATE OR REPLACE FUNCTION pleiad.run_unchecked(sql text) RETURNS void
LANGUAGE plpgsql VOLATILE SET check_function_bodies = off AS $$
BEGIN
  EXECUTE sql;
END $$;

-- Decides that distributed transaction gid commits, together with home's part of it. The row names the role that
-- PREPARE TRANSACTION gives its parts to, and recovery heeds it only for parts of that role: nobody can decide over
-- another's. The decision must outlive a crash whatever the session thinks of its own commits.
CREATE OR REPLACE FUNCTION pleiad.record_commit(gid text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
  INSERT INTO pleiad.commit_record (gid, owner) VALUES (gid, pleiad.acting_role())
$$;

-- Sizes of the shards that this backend holds. rows_estimate is -1 while never analyzed.
CREATE OR REPLACE FUNCTION pleiad.local_shard_sizes()
RETURNS TABLE (nsp name, rel name, shard int, bytes bigint, rows_estimate bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT n.nspname, p.relname, l.shard, coalesce(pg_total_relation_size(l.relid), 0),
         greatest(coalesce(s.n_live_tup, 0), c.reltuples)::bigint
  FROM pleiad.local_shard l
  JOIN pg_class c ON c.oid = l.relid
  JOIN pg_class p ON p.oid = l.parent
  JOIN pg_namespace n ON n.oid = p.relnamespace
  LEFT JOIN pg_stat_user_tables s ON s.relid = l.relid
$$;

-- The indexes that CREATE INDEX CONCURRENTLY made on this backend's partitions become parts of the parent's.
CREATE OR REPLACE FUNCTION pleiad.attach_indexes(idx regclass, part name) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  i record;
  was text := current_setting('role');
  owner name := (SELECT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = idx);
BEGIN
  PERFORM pleiad.check_owner(idx);
  IF owner <> current_user THEN
    PERFORM set_config('role', owner, true); -- comparing two indexes' predicates runs functions in them
  END IF;
  FOR i IN SELECT c.oid::regclass AS name
           FROM pg_index p JOIN pleiad.local_shard s ON s.parent = p.indrelid
           JOIN pg_index x ON x.indrelid = s.relid JOIN pg_class c ON c.oid = x.indexrelid
           WHERE p.indexrelid = idx AND c.relname = part AND NOT c.relispartition LOOP
    EXECUTE format('ALTER INDEX %s ATTACH PARTITION %s', idx, i.name);
  END LOOP;
  PERFORM set_config('role', was, true);
END $$;

-- Removes what a CREATE INDEX CONCURRENTLY that failed left on this backend's partitions. Only the partitions'
-- owner may.
CREATE OR REPLACE FUNCTION pleiad.drop_stray_indexes(part name) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  i record;
BEGIN
  FOR i IN SELECT c.oid, c.oid::regclass AS name
           FROM pg_class c JOIN pg_index x ON x.indexrelid = c.oid JOIN pleiad.local_shard s ON s.relid = x.indrelid
           WHERE c.relname = part AND c.relkind = 'i' AND NOT c.relispartition LOOP
    PERFORM pleiad.check_owner(i.oid);
    EXECUTE format('DROP INDEX %s', i.name);
  END LOOP;
END $$;

-- PostgreSQL asks for CREATE on a partition's schema before it builds the partition's part of a new index. The
-- role that acts has it from open_shards to close_shards, which is one transaction but for CREATE INDEX
-- CONCURRENTLY.
CREATE OR REPLACE FUNCTION pleiad.open_shards(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  acting name := pleiad.acting_role();
  s record;
BEGIN
  PERFORM pleiad.check_owner(rel);
  FOR s IN SELECT DISTINCT nspname FROM pleiad.local_shard WHERE parent = rel ORDER BY nspname LOOP
    IF NOT has_schema_privilege(acting, s.nspname, 'CREATE') THEN
      EXECUTE format('GRANT CREATE ON SCHEMA %I TO %I', s.nspname, acting);
    END IF;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION pleiad.close_shards() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  acting name := pleiad.acting_role();
  s record;
BEGIN
  FOR s IN SELECT n.nspname FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
           WHERE n.nspname ~ '^pleiad_[0-9]+$' AND a.privilege_type = 'CREATE' AND a.grantee = (SELECT oid FROM pg_roles WHERE rolname = acting)
           AND n.nspowner <> a.grantee ORDER BY n.nspname LOOP
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM %I', s.nspname, acting);
  END LOOP;
END $$;
