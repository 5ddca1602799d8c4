-- Which server of a backend is its primary, since the last change that a proxy has made or seen. Every backend keeps the
-- records of all, in the maintenance database; the one with the latest timeline counts.
CREATE TABLE pleiad.primary_server (
  backend text PRIMARY KEY,
  server text NOT NULL,
  timeline bigint NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);

-- Options of pleiad's own that a table has, of any kind.
CREATE TABLE pleiad.table_option (
  relid oid PRIMARY KEY,
  sync boolean NOT NULL DEFAULT false
);

-- What a proxy last saw of each server.
ALTER TABLE pleiad.server
  ADD COLUMN timeline bigint,
  ADD COLUMN lsn pg_lsn,
  ADD COLUMN lag_bytes bigint,
  ADD COLUMN lag_ms bigint,
  ADD COLUMN since timestamptz;
