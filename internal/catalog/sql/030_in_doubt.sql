-- Parts of distributed transactions that recovery has found and could not end yet, as it last saw them; for people.

CREATE TABLE pleiad.in_doubt (
  gid text NOT NULL,
  backend text NOT NULL,
  owner name NOT NULL,
  prepared timestamptz NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (gid, backend)
);
