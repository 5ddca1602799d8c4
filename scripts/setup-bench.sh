#!/bin/bash
# Makes sure that PgBouncer, which the benchmark compares with, is there.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh
PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null || need "PgBouncer" pgbouncer
