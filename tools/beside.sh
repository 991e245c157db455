#!/usr/bin/env bash
# Run a command beside another and fail if either does: beside.sh "cd web && npm test" pytest -k "one or two"
# The first one's output is shown when both are done, so that the two do not mix.
set -uo pipefail

output=$(mktemp)
beside=$1
shift
bash -c "$beside" >"$output" 2>&1 &
first=$!
trap 'kill "$first" 2>/dev/null; rm -f "$output"' EXIT
trap 'exit 130' INT TERM

"$@"
failed=$?
wait "$first" || failed=1
cat "$output"
exit "$failed"
