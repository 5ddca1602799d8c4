#!/bin/bash
# All checks and tests, cheapest first; each phase prints a heading and its seconds, and the go
# test output is repeated at the end.
#   INTEGRATION_FLAGS   more flags for the integration tests' go test
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp)
trap 'rm -f "$results"' EXIT

phase() {
    local name=$1 began=$SECONDS status=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || status=$?
    printf -- '-- %s: %d s\n' "$name" $((SECONDS - began))
    return $status
}

check_format() {
    local unformatted
    unformatted=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r ls -d 2>/dev/null | xargs -r gofmt -l)
    [ -z "$unformatted" ] || { echo "gofmt wants to change:"; echo "$unformatted"; return 1; }
}

go_test() { go test "$@" 2>&1 | tee -a "$results"; }

units() {
    local packages
    packages=$(go list ./... | grep -v '/integration\(/\|$\)') || return
    # shellcheck disable=SC2086 # one word per package
    go_test -race $packages
}

integration() {
    if [ -d integration ] && [ -n "$(go list ./integration/... 2>/dev/null)" ]; then
        # shellcheck disable=SC2086 # several flags
        go_test -race -count=1 -timeout 60m ${INTEGRATION_FLAGS:-} ./integration/...
    fi
}

# The C parser takes minutes to compile, once with and once without -race. Everything here is built
# with it, so that one of the two is enough; vet and staticcheck read the same build.
export GOFLAGS="${GOFLAGS:-} -race"

phase "set-up: PostgreSQL server" scripts/setup-server.sh
phase "set-up: clients" scripts/setup-clients.sh
phase "gofmt" check_format
phase "go vet" go vet ./...
phase "staticcheck" scripts/staticcheck.sh ./...
phase "unit tests, with the race detector" units
phase "integration tests" integration

printf '\n== go test results (all passed, %d s in all)\n' $SECONDS
cat "$results"
