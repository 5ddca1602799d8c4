#!/bin/bash
# Runs once, when a primary's data has been made: the official image calls every script in
# /docker-entrypoint-initdb.d while a temporary server listens on the Unix socket only. What is set
# here holds from the real start on.
#   STANDBY                    name of the standby that will follow
#   REPLICATION_PASSWORD_FILE  password of the role "replicator"
#   PGDATA, POSTGRES_USER      from the image
set -euo pipefail
export STANDBY REPLICATION_PASSWORD_FILE

psql -X -q -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres <<'SQL'
\set password `cat "$REPLICATION_PASSWORD_FILE"`
\set standby `echo "$STANDBY"`
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
-- A slot per standby keeps WAL until that standby has it.
SELECT pg_create_physical_replication_slot(replace(:'standby', '-', '_'), true) \g /dev/null

ALTER SYSTEM SET wal_level = logical;                  -- shards move by logical replication
ALTER SYSTEM SET max_prepared_transactions = 200;      -- commits over several servers
ALTER SYSTEM SET max_connections = 300;
ALTER SYSTEM SET max_wal_senders = 32;
ALTER SYSTEM SET max_replication_slots = 64;
ALTER SYSTEM SET max_worker_processes = 32;
ALTER SYSTEM SET max_logical_replication_workers = 16;
ALTER SYSTEM SET max_locks_per_transaction = 128;      -- DDL locks every shard of a table
ALTER SYSTEM SET hot_standby_feedback = on;
SQL

echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
