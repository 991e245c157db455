#!/usr/bin/env bash
# Install clients of others for tests/viewers, pinned, each in an environment of its own: viewers.sh PYTHON FOLDER [large]
#
# None of them belongs to Segmend's own pins: some bring a gigabyte, and those only with `large`. Of the others only what
# they truly import is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 folder=$2

# nnInteractive's client for 3D Slicer, napari and scripts, in the oldest version that they take and in the newest.
home=$folder/nninteractive
pins=requirements/viewers-nninteractive.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  rm -rf "$home"
  "$python" -m venv "$home"
  pip=("$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps)
  "${pip[@]}" --requirement "$pins"
  for version in 2.5.1 2.6.0; do
    "${pip[@]}" --target "$home/$version" "nninteractive-client==$version"
  done
  cp "$pins" "$home/pins.txt" # last: what was interrupted is made again
fi

# ITK-SNAP's reference server, whose answers a stand-in makes. It is run by the Python that runs the tests, which has
# torch and what else it needs; its licence is the GPL: it is a process beside ours, and nothing imports it.
home=$folder/itksnap
pins=requirements/viewers-itksnap.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  rm -rf "$home"
  "$python" -m pip --disable-pip-version-check install --quiet --no-deps --target "$home" --requirement "$pins"
  cp "$pins" "$home/pins.txt"
fi

# MONAI Label's client, with which the built OHIF comes that speaks to such servers.
home=$folder/monai
pins=requirements/viewers-monai.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  rm -rf "$home"
  "$python" -m venv "$home"
  "$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --requirement "$pins"
  cp "$pins" "$home/pins.txt"
fi

# Orthanc, a small archive (PACS), from Debian's packages: unpacked beside the others and not installed, for installed it
# would be started, and listen.
home=$folder/orthanc
pins=requirements/viewers-orthanc.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  rm -rf "$home"
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    packages=$home/packages
    mkdir -p "$packages/partial"
    apt-get update -qq
    grep -v '^#' "$pins" | xargs apt-get install -y -qq --no-install-recommends --download-only \
      -o "Dir::Cache::archives=$(realpath "$packages")" >/dev/null
    for package in "$packages"/*.deb; do dpkg -x "$package" "$home"; done
    rm -rf "$packages"
    cp "$pins" "$home/pins.txt"
  else
    echo "Orthanc is left out: its packages are fetched by apt-get, as root."
  fi
fi

# 3D Slicer's core, a gigabyte: its scene, volumes and segmentations, without the program.
home=$folder/slicer
pins=requirements/viewers-slicer.txt
if [ "${3:-}" = large ] && ! cmp -s "$pins" "$home/pins.txt"; then
  rm -rf "$home"
  "$python" -m venv "$home"
  "$home/bin/python" -m pip --disable-pip-version-check install --quiet --requirement "$pins"
  cp "$pins" "$home/pins.txt"
fi
