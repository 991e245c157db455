#!/usr/bin/env bash
# Ask the package indexes for known weaknesses of every pinned package, of Python and of JavaScript:
#   bash tools/audit.sh PYTHON LOCK
# It needs the network. pip-audit is taken from PYTHON, from the PATH, or from pipx, which fetches it; it is not pinned
# here, for it is best as new as can be. Ends with 1 where something is known, with 2 where nothing could be asked.
set -u

python=$1
lock=$2
if "$python" -m pip_audit --version >/dev/null 2>&1; then
  audit=("$python" -m pip_audit)
elif command -v pip-audit >/dev/null; then
  audit=(pip-audit)
elif command -v pipx >/dev/null; then
  audit=(pipx run pip-audit)
else
  echo "pip-audit is needed: pipx install pip-audit (or pip install pip-audit, in an environment of its own)" >&2
  exit 2
fi

known=0
"${audit[@]}" --requirement "$lock" --require-hashes --disable-pip || known=1
(cd web && npm audit) || known=1
exit $known
