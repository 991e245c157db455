#!/usr/bin/env bash
# Make a virtual environment, or say in one sentence what is missing: python.sh PYTHON FOLDER
# The file .unfinished in it says that something is being installed; who finds it there starts anew.
set -euo pipefail
python=$1 folder=$2

[ ! -e "$folder/.unfinished" ] || rm -rf "$folder"
if [ -x "$folder/bin/python" ]; then
  touch "$folder/.unfinished"
  exit 0
fi

if ! command -v "$python" >/dev/null; then
  echo "Segmend needs Python 3.11 or later; there is no '$python'. Name another: make PYTHON=/path/to/python3" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Segmend needs Python 3.11 or later; '$python' is $("$python" -V). Name another: make PYTHON=python3.12" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  bash "$(dirname "$0")/system.sh" python3-venv
fi
mkdir -p "$folder"
touch "$folder/.unfinished"
"$python" -m venv "$folder"
