#!/usr/bin/env bash
# Time 'make start' in a fresh clone until the annotator answers, and weigh what it leaves: measure_start.sh [EMPTY FOLDER]
# Caches of pip and npm are used as they are, so run it twice to see the figures with warm caches.
set -euo pipefail
folder=${1:-$(mktemp -d)}
data=$(mktemp -d)
trap 'kill "$job" 2>/dev/null || true; rm -rf "$data"; [ $# -gt 0 ] || rm -rf "$folder"' EXIT

git clone --quiet "$(git rev-parse --show-toplevel)" "$folder"
cd "$folder"
begun=$(date +%s.%N)
make --no-print-directory start ARGS="--no-browser --port 0 --folder $data" > "$data/said" 2> "$data/errors" &
job=$!
until address=$(grep -oE 'http://[^ ]+' "$data/said"); do
  kill -0 "$job" 2>/dev/null || { cat "$data/said" "$data/errors" >&2; exit 1; }
  sleep 0.2
done
python3 -c "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()" "${address}api/cases"
ended=$(date +%s.%N)

pids=$(pgrep -P "$job" || true)
kill $pids "$job" 2>/dev/null || true
echo "seconds until the annotator answers: $(echo "$ended - $begun" | python3 -c 'print(round(eval(input()), 1))')"
made=$(du -smc "$folder/.venv" "$folder/src/segmend/web" | tail -1 | cut -f1)
echo "megabytes on disk that the set-up made: $made, with the clone: $(du -sm "$folder" | cut -f1)"
echo "the five largest packages:"
du -sm "$folder"/.git "$folder"/.venv/lib/python3*/site-packages/* | sort -rn | head -${LARGEST:-5}
