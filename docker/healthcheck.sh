#!/bin/bash
# Succeeds if something at PORT (6432) of this host speaks PostgreSQL's protocol: it answers an
# SSLRequest with one byte, S or N.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${PORT:-6432}"
printf '\0\0\0\10\4\322\26\57' >&3
read -r -n 1 -t 3 -u 3 answer
[[ $answer == [SN] ]]
