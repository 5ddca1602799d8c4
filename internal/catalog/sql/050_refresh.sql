-- A materialized view whose rows are being brought from several backends: what its query was before it became a query of these
-- rows, between pleiad.begin_refresh() and pleiad.end_refresh(). No row outlives its transaction.

CREATE TABLE pleiad.refresh (
  relid oid PRIMARY KEY,
  action pg_node_tree NOT NULL  -- pg_rewrite.ev_action
);

-- A transaction that has not put the query back cannot commit, whoever called begin_refresh().
CREATE FUNCTION pleiad.refresh_ended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM pleiad.refresh r WHERE r.relid = NEW.relid) THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('the refresh of %s has not ended', NEW.relid::regclass);
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER refresh_ended AFTER INSERT ON pleiad.refresh
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pleiad.refresh_ended();
