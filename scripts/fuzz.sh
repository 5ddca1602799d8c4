#!/bin/bash
# Runs every fuzz target for FUZZTIME (10s), also after one failed.
set -euo pipefail
cd "$(dirname "$0")/.."
found=0
failed=()
while IFS=: read -r file _ line; do
    target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
    echo "== $target in $(dirname "$file")"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "./$(dirname "$file")" || failed+=("$target")
    found=$((found + 1))
done < <(grep -rnE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . | sed 's|^\./||')
echo "$found fuzz targets ran, ${#failed[@]} failed: ${failed[*]}"
[ ${#failed[@]} = 0 ]
