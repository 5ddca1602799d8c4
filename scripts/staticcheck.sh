#!/bin/bash
# Runs staticcheck at a pinned version, built once into .tools.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v0.8.2
tool=.tools/staticcheck-$version
if [ ! -x "$tool" ]; then
    GOFLAGS= GOBIN=$PWD/.tools go install "honnef.co/go/tools/cmd/staticcheck@$version"
    mv .tools/staticcheck "$tool"
fi
"$tool" "${@:-./...}"
