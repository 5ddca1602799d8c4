-- Filling a materialized view from several backends: its rows are gathered in a temporary table on home, its query becomes a
-- query of that table, PostgreSQL's own REFRESH runs, and the query is put back: all in one transaction, in which nobody else
-- sees pg_rewrite changed. The rule's dependencies stay as they are. Anyone may call these for what they own: begin_refresh takes
-- no table but the one that open_refresh made, which nobody but pleiad can alter, and whoever does not end what they began cannot
-- commit.

-- First step of a statement that a schema change would make another one: none comes until the transaction's end, and whoever takes
-- this lock too need not wait. Returns the epoch. A transaction whose snapshot is older than that fails with 40001.
CREATE OR REPLACE FUNCTION pleiad.share_ddl(command text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now bigint;
BEGIN
  IF current_setting('transaction_read_only')::boolean THEN
    RAISE read_only_sql_transaction USING MESSAGE = format('cannot execute %s in a read-only transaction', command);
  END IF;
  PERFORM pg_advisory_xact_lock_shared(1886151017, 1);
  SELECT epoch INTO STRICT now FROM pleiad.epoch FOR SHARE;
  RETURN now;
END $$;

-- Writes a materialized view's row in pg_class as it is, under the lock of REFRESH CONCURRENTLY against other ones (it lets readers
-- go on), or under REFRESH's. The session reads the view's rule anew then. These parameters are of indexes only.
CREATE OR REPLACE FUNCTION pleiad.touch_matview(rel oid, concurrent boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('ALTER MATERIALIZED VIEW %s RESET (%s)', rel::regclass,
                 CASE WHEN concurrent THEN 'deduplicate_items' ELSE 'buffering' END);
END $$;
REVOKE EXECUTE ON FUNCTION pleiad.touch_matview(oid, boolean) FROM PUBLIC;

-- Takes the lock and makes the table. Gives the view's owner, as whom the query has to run; NULL where REFRESH is an error, which
-- PostgreSQL should say itself.
CREATE OR REPLACE FUNCTION pleiad.open_refresh(rel text, concurrent boolean) RETURNS name
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
  id oid := to_regclass(rel);
  owner name;
BEGIN
  IF current_setting('transaction_read_only')::boolean
     OR pg_has_role(pleiad.acting_role(), (SELECT c.relowner FROM pg_class c WHERE c.oid = id AND c.relkind = 'm'), 'USAGE') IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE feature_not_supported USING MESSAGE = 'a materialized view over sharded tables can be filled by a superuser''s rights only',
      HINT = format('ALTER ROLE %I SUPERUSER on every server.', current_user);
  END IF;
  BEGIN
    PERFORM pleiad.touch_matview(id, concurrent);
  EXCEPTION WHEN object_in_use THEN
    RETURN NULL;
  END;
  SELECT r.rolname INTO STRICT owner FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = id;
  -- As is_usable_unique_index() of matview.c has it.
  IF concurrent AND NOT EXISTS (
      SELECT FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
      JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
      WHERE c.oid = id AND c.relispopulated AND i.indisunique AND i.indimmediate AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL) THEN
    RETURN NULL;
  END IF;
  IF concurrent AND NOT has_database_privilege(owner, current_database(), 'TEMPORARY') THEN
    RAISE insufficient_privilege USING MESSAGE = format('permission denied to create temporary tables in database "%s"', current_database());
  END IF;
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = id AND attnum > 0 AND NOT attisdropped) THEN
    RAISE feature_not_supported USING MESSAGE = 'a materialized view over sharded tables must have a column', HINT = 'Give it one.';
  END IF;
  EXECUTE format('CREATE TEMPORARY TABLE pg_temp."pleiad refresh" (LIKE %s) ON COMMIT DROP', id::regclass);
  EXECUTE format('GRANT SELECT, INSERT ON pg_temp."pleiad refresh" TO %I', owner);
  RETURN owner;
END $$;

-- A view's query with names as the caller's search path finds them, and constants that any session reads as they are.
CREATE OR REPLACE FUNCTION pleiad.view_query(rel regclass) RETURNS text
LANGUAGE sql STABLE SET "DateStyle" = 'ISO, YMD' SET "IntervalStyle" = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off AS $$
  SELECT pg_catalog.pg_get_viewdef($1)
$$;

-- The columns of a relation as its rows have them.
CREATE OR REPLACE FUNCTION pleiad.row_layout(rel oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(concat_ws(' ', attnum, atttypid, atttypmod, attcollation, attisdropped), ',' ORDER BY attnum)
  FROM pg_attribute WHERE attrelid = rel AND attnum > 0
$$;

-- The view's query becomes a query of the table.
CREATE OR REPLACE FUNCTION pleiad.begin_refresh(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
  rows_of oid := (SELECT c.oid FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
                  WHERE c.relnamespace = pg_my_temp_schema() AND c.relname = 'pleiad refresh' AND c.relkind = 'r' AND r.rolname = current_user);
BEGIN
  PERFORM pleiad.check_owner(rel);
  IF rows_of IS NULL OR pleiad.row_layout(rows_of) IS DISTINCT FROM pleiad.row_layout(rel) THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('no refresh of %s is open', rel);
  END IF;
  SET CONSTRAINTS pleiad.refresh_ended DEFERRED;
  INSERT INTO pleiad.refresh (relid, action)
    SELECT c.oid, w.ev_action FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid AND w.rulename = '_RETURN'
    WHERE c.oid = rel AND c.relkind = 'm';
  IF NOT FOUND THEN
    RAISE wrong_object_type USING MESSAGE = format('%s is not a materialized view', rel);
  END IF;
  EXECUTE 'CREATE TEMPORARY VIEW pg_temp."pleiad refresh query" AS SELECT * FROM pg_temp."pleiad refresh"';
  UPDATE pg_rewrite w SET ev_action = v.ev_action FROM pg_rewrite v
    WHERE w.ev_class = rel AND w.rulename = '_RETURN'
    AND v.ev_class = 'pg_temp."pleiad refresh query"'::regclass AND v.rulename = '_RETURN';
  PERFORM pleiad.touch_matview(rel, true);
END $$;

-- Puts the view's query back.
CREATE OR REPLACE FUNCTION pleiad.end_refresh(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
  PERFORM pleiad.check_owner(rel);
  UPDATE pg_rewrite w SET ev_action = r.action FROM pleiad.refresh r
    WHERE r.relid = rel AND w.ev_class = rel AND w.rulename = '_RETURN';
  DELETE FROM pleiad.refresh WHERE relid = rel;
  IF NOT FOUND THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('no refresh of %s has begun', rel);
  END IF;
  PERFORM pleiad.touch_matview(rel, true);
  DROP VIEW pg_temp."pleiad refresh query";
  DROP TABLE pg_temp."pleiad refresh";
END $$;
