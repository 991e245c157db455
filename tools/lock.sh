#!/usr/bin/env bash
# Resolve pyproject.toml in an empty environment and pin what came out: lock.sh PYTHON TORCH FILE
set -euo pipefail
python=$1 torch=$2 file=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --upgrade pip
"$folder/bin/pip" install --quiet "$torch"
"$folder/bin/pip" install --quiet --editable '.[dev]'
{
  echo "# Every version of a development set-up, written by 'make lock'; names and versions only."
  "$folder/bin/pip" freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$//' | grep -E '^[A-Za-z0-9._-]+=='
} > "$file.new"
mv "$file.new" "$file"
