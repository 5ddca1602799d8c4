-- The catalog's tables. They exist on every backend; only home's have rows (but for node).
-- Later versions add files; this one never changes once released.

CREATE TABLE pleiad.node (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  home boolean NOT NULL,
  source_hash text NOT NULL  -- of the functions and views installed
);

CREATE TABLE pleiad.epoch (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch bigint NOT NULL
);
INSERT INTO pleiad.epoch (epoch) VALUES (1);

-- id is the backend's index in every placement; it never changes and is never used again.
CREATE TABLE pleiad.backend (
  id int PRIMARY KEY CHECK (id BETWEEN 0 AND 65535),
  name text NOT NULL UNIQUE,
  home boolean NOT NULL DEFAULT false,
  weight float8 NOT NULL DEFAULT 1 CHECK (weight >= 0 AND weight < 'Infinity')
);
CREATE UNIQUE INDEX backend_one_home ON pleiad.backend (home) WHERE home;

-- One row a PostgreSQL server, as the proxy last saw it.
CREATE TABLE pleiad.server (
  name text PRIMARY KEY,
  backend text NOT NULL,
  role text NOT NULL CHECK (role IN ('primary', 'replica')),
  host text NOT NULL,
  port int NOT NULL,
  state text NOT NULL,
  detail text NOT NULL DEFAULT '',
  version text NOT NULL DEFAULT '',
  changed timestamptz NOT NULL DEFAULT now()
);

-- Colocation groups. Types are those of the key columns with varchar counted as text, which hashes alike;
-- family 0 is PostgreSQL's hash, 1 murmur3.
CREATE TABLE pleiad.colocation (
  id int PRIMARY KEY CHECK (id > 0),
  key_types oid[] NOT NULL,
  families int[] NOT NULL,
  modulus int NOT NULL CHECK (modulus BETWEEN 1 AND 65536),
  CHECK (cardinality(key_types) = cardinality(families) AND cardinality(key_types) > 0),
  UNIQUE (key_types, families, modulus)
);

CREATE TABLE pleiad.placement (
  group_id int NOT NULL REFERENCES pleiad.colocation ON DELETE CASCADE,
  shard int NOT NULL CHECK (shard >= 0),
  backend int NOT NULL REFERENCES pleiad.backend,
  PRIMARY KEY (group_id, shard)
);

CREATE TABLE pleiad.sharded (
  relid oid PRIMARY KEY,
  group_id int NOT NULL REFERENCES pleiad.colocation
);

CREATE TABLE pleiad.reference (relid oid PRIMARY KEY);

-- Views that exist on every backend; other views exist on home only.
CREATE TABLE pleiad.everywhere_view (relid oid PRIMARY KEY);

-- Sizes of shards, gathered from the backends that hold them.
CREATE TABLE pleiad.shard_stat (
  relid oid NOT NULL,
  shard int NOT NULL,
  bytes bigint NOT NULL,
  rows_estimate bigint NOT NULL,
  PRIMARY KEY (relid, shard)
);

-- A row is the decision that distributed transaction gid commits; it is written in home's part of it.
CREATE TABLE pleiad.commit_record (
  gid text PRIMARY KEY,
  owner name NOT NULL,
  decided timestamptz NOT NULL DEFAULT now()
);
