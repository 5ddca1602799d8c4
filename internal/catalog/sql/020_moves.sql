-- Moves of shards between backends, and the jobs that they belong to.

-- One row a job, which a proxy runs in the background. plan says what it will do; detail, for people, how it stands.
CREATE TABLE pleiad.job (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('rebalance', 'move', 'drain', 'add_backend', 'remove_backend', 'verify')),
  options jsonb NOT NULL DEFAULT '{}',
  state text NOT NULL DEFAULT 'queued'
    CHECK (state IN ('queued', 'running', 'cancelling', 'done', 'failed', 'cancelled')),
  detail text NOT NULL DEFAULT '',
  role name NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  started timestamptz,
  finished timestamptz
);

-- One row a move of one shard of one colocation group. step is the last one whose work is durable:
--
--   planned    nothing is done, or what was done has been undone
--   prepared   the target has detached tables; the source has a publication and a replication slot
--   copied     every table is copied (pleiad.incoming on the target says since when each is)
--   indexed    indexes, constraints and settings are the source's, statistics are gathered
--   following  the target follows the source, and their contents have been compared
--   switched   written in the transaction gid that makes the shard the target's; the source's tables are detached
--   done       nothing is left on the source
--   proposed   of a dry run: never carried out
--   cancelled, failed  nothing is left on the target
CREATE TABLE pleiad.move (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job bigint NOT NULL REFERENCES pleiad.job ON DELETE CASCADE,
  group_id int NOT NULL,
  shard int NOT NULL,
  source int NOT NULL,
  target int NOT NULL,
  step text NOT NULL DEFAULT 'planned' CHECK (step IN ('planned', 'prepared', 'copied', 'indexed', 'following',
    'switched', 'done', 'proposed', 'cancelled', 'failed')),
  gid text NOT NULL DEFAULT '',      -- of the switch, from just before it is prepared
  shape text NOT NULL DEFAULT '',    -- of the source's tables when the target's were made
  bytes bigint NOT NULL DEFAULT 0,   -- size on the source when it was planned
  copied bigint NOT NULL DEFAULT 0,  -- bytes of rows sent so far
  lag bigint NOT NULL DEFAULT 0,     -- bytes of WAL that the target is behind
  hold_ms float8,                    -- how long the switch held statements
  attempts int NOT NULL DEFAULT 0,
  detail text NOT NULL DEFAULT '',
  started timestamptz,
  changed timestamptz NOT NULL DEFAULT now(),
  finished timestamptz
);
CREATE INDEX move_by_job ON pleiad.move (job);
-- A shard moves once at a time.
CREATE UNIQUE INDEX move_underway ON pleiad.move (group_id, shard)
  WHERE step NOT IN ('done', 'proposed', 'cancelled', 'failed');

-- On a move's target: since which position of the source each table follows it, and, under the empty name, up to which
-- one everything is applied. It is written in the transactions that it describes.
CREATE TABLE pleiad.incoming (
  move bigint NOT NULL,
  nsp name NOT NULL,
  rel name NOT NULL,
  lsn pg_lsn NOT NULL,
  PRIMARY KEY (move, nsp, rel)
);

-- What verify found.
CREATE TABLE pleiad.finding (
  job bigint NOT NULL REFERENCES pleiad.job ON DELETE CASCADE,
  object text NOT NULL,
  backend text NOT NULL,
  problem text NOT NULL
);

-- active: takes shards. drained: its shards were moved away, and it gets no new ones. absent: it has nothing of this database
-- yet, or any more, and no statement uses it.
ALTER TABLE pleiad.backend ADD COLUMN state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'drained', 'absent'));
