#!/usr/bin/env bash
# Usage: lint-native.sh PYTHON
# rustfmt and clippy over native/, where cargo is there.
set -euo pipefail
[[ -f native/Cargo.toml ]] || exit 0
if ! command -v cargo >/dev/null; then
    echo "warning: native/ not checked (cargo is not installed)" >&2
    exit 0
fi
PYO3_PYTHON=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
export PYO3_PYTHON
cargo fmt --manifest-path native/Cargo.toml --check
cargo clippy --quiet --locked --manifest-path native/Cargo.toml --all-targets -- -D warnings
