#!/usr/bin/env bash
# Pin all requirements of pyproject.toml, with the hashes of their files: lock.sh PYTHON TORCH FOLDER [--upgrade]
#
# base.txt is what `pip install segmend` brings, lock.txt what a development set-up needs, both for every platform and
# every Python that Segmend runs on; uv.txt is what installs them. Pins that still fit are kept, unless --upgrade is given. Torch is not in them: which
# build of it is right depends on the machine, so its version stands in the Makefile, and the libraries of its
# builds for GPUs come with it; its other needs are pinned.
set -euo pipefail
python=$1 torch=$2 pins=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --disable-pip-version-check install --quiet uv
"$folder/venv/bin/python" - "$folder" <<'WANTED'
import pathlib, sys, tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
groups = project["optional-dependencies"]
groups.pop("notebook")  # JupyterLab's pins are in viewers-jupyter.txt; the other tests do without
groups.pop("ray")  # 80 MB that one machine needs none of; its tests have an environment of their own
extras = [line for group in groups.values() for line in group if not line.startswith("segmend[")]
folder = pathlib.Path(sys.argv[1])
(folder / "base.in").write_text("\n".join(project["dependencies"]) + "\n")
(folder / "lock.in").write_text("\n".join([*project["dependencies"], *extras]) + "\n")
WANTED

pin() { # pin NAME [OPTION ...]: write FOLDER/NAME.txt from NAME.in
  local name=$1
  shift
  [ ! -f "$pins/$name.txt" ] || cp "$pins/$name.txt" "$folder/$name.txt"
  "$folder/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links --system-certs "$folder/$name.in" --output-file "$folder/$name.txt" "$@" >/dev/null
}

echo uv >"$folder/uv.in"
pin uv "$@"
echo "$torch" >"$folder/torch.txt"
pin lock --constraint "$folder/torch.txt" "$@"
"$python" - "$folder/lock.txt" <<'WITHOUT_TORCH'
import pathlib, re, sys

path = pathlib.Path(sys.argv[1])
pins = re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").strip())
kept = [pin for pin in pins if not re.match(r"(torch|triton|nvidia-|cuda-)", pin)]
path.write_text("\n".join(kept) + "\n", encoding="utf-8")
WITHOUT_TORCH
pin base --constraint "$folder/lock.txt" --upgrade
for name in base lock uv; do
  { echo "# Written by 'make lock': versions, and the hashes of their files."; cat "$folder/$name.txt"; } >"$pins/$name.txt"
done
