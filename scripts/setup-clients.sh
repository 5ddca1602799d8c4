#!/bin/bash
# Makes sure that the clients of the integration tests are there: psql, psycopg2, psycopg 3, asyncpg, SQLAlchemy,
# node-postgres.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh

command -v psql >/dev/null || need "psql" postgresql-client

# Debian's psycopg2 belongs to Debian's python3; another python3 that comes first in PATH lacks it.
/usr/bin/python3 -c 'import psycopg2, sqlalchemy, psycopg, asyncpg' 2>/dev/null ||
    need "psycopg2, psycopg 3, asyncpg and SQLAlchemy" python3 python3-psycopg2 python3-sqlalchemy python3-psycopg python3-asyncpg

command -v node >/dev/null || need "Node.js" nodejs
command -v npm >/dev/null || need "npm" npm

cd ../integration/clients/node
# npm leaves this file last; it is older than the lock file after a change of versions.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
fi
