#!/usr/bin/env bash
# Install pinned packages, each file's hash checked: install.sh PYTHON REQUIREMENTS
# By uv, which takes a tenth of pip's time; where it cannot be had or its way to the packages fails, by pip.
set -euo pipefail
python=$1 requirements=$2
pinned=(--no-deps --require-hashes --requirement)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pip() { "$python" -m pip --disable-pip-version-check install --quiet --no-compile "$@"; }

if pip --target "$folder" "${pinned[@]}" "$(dirname "$0")/../requirements/uv.txt" 2>/dev/null &&
  PYTHONPATH=$folder "$python" -m uv pip install --quiet --system-certs --python "$python" "${pinned[@]}" "$requirements" 2>"$folder/said"; then
  exit 0
fi
pip "${pinned[@]}" "$requirements"
