#!/usr/bin/env bash
# Usage: lock.sh PYTHON [--keep]
# Write requirements.lock: exact versions of everything pyproject.toml asks for,
# the dev group and the build backend included, resolved in a throw-away venv.
# --keep holds what is pinned already and adds or drops only what must change.
set -euo pipefail
python=$1
lock=requirements.lock
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" - >"$scratch/wanted.txt" <<'PYTHON'
import pathlib
import tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
print("\n".join(wanted + project["dependency-groups"]["dev"]))
PYTHON
constraints=()
[[ ${2:-} != --keep || ! -f $lock ]] || constraints=(--constraint "$lock")
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip --quiet --disable-pip-version-check install \
    --requirement "$scratch/wanted.txt" "${constraints[@]}"
{
    echo "# Made by \`make lock\` from pyproject.toml; not edited by hand."
    "$scratch/venv/bin/python" -m pip freeze
} >"$lock"
