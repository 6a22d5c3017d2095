#!/usr/bin/env bash
# Usage: build-validator.sh PROGRAM
# Build tests/validate, which reads the files of deploy/ as Kubernetes, Compose and the Collector do.
# Not fatal: the tests that need it say themselves why they cannot run.
set -euo pipefail
program=$(realpath --canonicalize-missing "$1")

if ! command -v go >/dev/null; then
    echo "warning: deploy/ is not validated in full (go is not installed)" >&2
    exit 0
fi
echo "building the validator of deploy/ (some minutes, the first time)"
mkdir -p "$(dirname "$program")"
log=$program.log
# Without debugging symbols, to be linked and kept in half the space.
if ! (cd tests/validate && go build -trimpath -ldflags="-s -w" -o "$program" .) >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "warning: deploy/ is not validated in full (its validator was not built)" >&2
fi
