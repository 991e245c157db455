#!/usr/bin/env bash
# Resolve all requirements of pyproject.toml in an empty environment and pin what came out: lock.sh PYTHON TORCH FILE
set -euo pipefail
python=$1 torch=$2 file=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --upgrade pip
"$folder/bin/pip" install --quiet "$torch"
"$folder/bin/python" - > "$folder/wanted.txt" << 'WANTED'
import pathlib, tomllib
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
groups = [project["dependencies"], *project["optional-dependencies"].values()]
print("\n".join(line for group in groups for line in group if not line.startswith("segmend[")))
WANTED
"$folder/bin/pip" install --quiet --requirement "$folder/wanted.txt"
{
  echo "# Every version of a development set-up, written by 'make lock': names and versions only."
  "$folder/bin/pip" freeze | sed -E 's/\+[a-z0-9.]+$//' | grep -E '^[A-Za-z0-9._-]+=='
} > "$file.new"
mv "$file.new" "$file"
