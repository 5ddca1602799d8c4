#!/bin/bash
# Runs once, when a primary's data has been made: the official image calls every script in
# /docker-entrypoint-initdb.d while a temporary server listens on the Unix socket only. What is set
# here holds from the real start on.
#   STANDBY                    name of the standby that will follow
#   REPLICATION_PASSWORD_FILE  password of the role "replicator", and of the superuser on ROLES_HOST
#   ROLES_HOST, ROLES_PORT     a server that has been made; none for the first (port: 5432)
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

# A role's password must be the same on all servers to the salt, or no client could be let in to
# several of them with one proof.
if [ -n "${ROLES_HOST:-}" ]; then
    PGPASSWORD=$(cat "$REPLICATION_PASSWORD_FILE") psql -X -A -t -v ON_ERROR_STOP=1 \
        -d "host=$ROLES_HOST port=${ROLES_PORT:-5432} user=${POSTGRES_USER:-postgres} dbname=postgres" -c "
        SELECT format('ALTER ROLE %I PASSWORD %L;', rolname, rolpassword) FROM pg_authid
        WHERE rolname IN (current_user, 'replicator')" |
        psql -X -q -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres
fi

echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
