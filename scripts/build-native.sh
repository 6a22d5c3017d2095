#!/usr/bin/env bash
# Usage: build-native.sh PYTHON STAMP
# Build native/ and install it beside PYTHON; touch STAMP when it worked.
# Where Rust cannot, say so in one line and leave spanmill to its Python decoder;
# in CI that is an error, since half of the contract tests would be skipped.
set -euo pipefail
python=$1 stamp=$2
bin=$(dirname "$python")
wheels=$bin/../native-wheels
log=$bin/../native-build.log

go_on_without() {
    if [[ -n ${CI:-} ]]; then
        echo "error: no native decoder ($1), which CI needs" >&2
        exit 1
    fi
    echo "warning: no native decoder ($1); spanmill works without it, slower" >&2
    exit 0
}

[[ -f native/Cargo.toml ]] || go_on_without "native/ is not there"
command -v cargo >/dev/null || go_on_without "cargo is not installed"
echo "building the native decoder"
rm -rf "$wheels"
if ! "$bin/maturin" build --release --locked --manifest-path native/Cargo.toml \
    --interpreter "$python" --out "$wheels" >"$log" 2>&1; then
    [[ -z ${CI:-} ]] || cat "$log" >&2
    go_on_without "its build failed, see ${log/bin\/..\//}"
fi
"$python" -m pip --quiet --disable-pip-version-check install \
    --no-deps --no-index --force-reinstall "$wheels"/*.whl
touch "$stamp"
