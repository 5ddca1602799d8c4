#!/bin/bash
# Entry point of a standby: copies its primary once, then runs PostgreSQL with the arguments given.
#   PRIMARY_HOST, PRIMARY_PORT (5432)  whom to follow
#   STANDBY                            own name, as its primary shows it
#   REPLICATION_PASSWORD_FILE          password of the role "replicator"
#   PGDATA                             from the image
set -euo pipefail

if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
    mkdir -p "$PGDATA"
    chown -R postgres "$PGDATA"
    exec gosu postgres "$BASH_SOURCE" "$@"
fi

# The marker comes last: without it, whatever is there is half a copy.
marker=$PGDATA/standby_complete
if [ ! -e "$marker" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    find "$PGDATA" -mindepth 1 -delete
    PGPASSWORD=$(cat "$REPLICATION_PASSWORD_FILE") pg_basebackup -D "$PGDATA" -R -X stream -c fast -S "${STANDBY//-/_}" \
        -d "host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator application_name=$STANDBY"
    touch "$marker"
fi
exec postgres "$@"
