#!/bin/bash
# Rewrites the golden files of every package whose tests take -update; read the diff afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t dirs < <(grep -rlE --include='*_test.go' 'flag\.Bool(Var)?\([^)]*"update"' . | xargs -r -n1 dirname | sort -u)
for dir in "${dirs[@]}"; do
    run=.
    [ "$dir" = ./integration ] && run=TestSQL # the others compare, and rewrite nothing
    go test -count=1 -run "$run" "$dir" -update
done
git --no-pager diff --stat -- '*testdata*'
