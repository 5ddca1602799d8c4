#!/bin/bash
# Makes sure that what builds pleiad and PostgreSQL's server programs, 15 or newer, are there.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh

oldest=15

# Prints the directory that internal/devcluster will use, or fails.
find_server() {
    local dir version
    while read -r dir; do
        [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && [ -x "$dir/pg_basebackup" ] || continue
        version=$("$dir/postgres" --version | sed -nE 's/.*\(PostgreSQL\) ([0-9]+).*/\1/p')
        [ "${version:-0}" -ge $oldest ] && echo "$dir" && return
    done < <(
        [ -z "${PLEIAD_PG_BIN:-}" ] || echo "$PLEIAD_PG_BIN"
        ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn
        command -v initdb >/dev/null && dirname "$(readlink -f "$(command -v initdb)")"
    )
    return 1
}

# pleiad starts servers of its own; the package need not make one that runs at boot.
without_main_cluster() {
    [ -e /etc/postgresql-common ] && return
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.d/pleiad.conf >/dev/null
}

install_server() {
    if can_install; then
        without_main_cluster
    fi
    need "PostgreSQL's server, version $oldest or newer," postgresql
    find_server >/dev/null && return
    # An older release: the PostgreSQL project's own packages, set up by Debian's script for it.
    need "the PostgreSQL project's package source" postgresql-common ca-certificates
    as_root /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y >/dev/null
    need "PostgreSQL's server" postgresql-16
}

for program in go gcc; do
    command -v $program >/dev/null || { echo "$program is needed to build pleiad; please install it" >&2; exit 1; }
done
[ -e /usr/include/stdio.h ] || need "the C library's headers" libc6-dev
find_server >/dev/null || install_server
find_server >/dev/null || {
    echo "no PostgreSQL server programs, version $oldest or newer, found; name their directory in PLEIAD_PG_BIN" >&2
    exit 1
}
