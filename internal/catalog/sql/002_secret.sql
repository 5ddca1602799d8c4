-- Secrets that all proxies of a cluster share, in the maintenance database on home; for the service role alone.

CREATE TABLE pleiad.secret (
  name text PRIMARY KEY,
  value bytea NOT NULL,
  made timestamptz NOT NULL DEFAULT now()
);
