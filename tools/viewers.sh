#!/usr/bin/env bash
# Install clients of others for tests/viewers, pinned, each in an environment of its own: viewers.sh PYTHON FOLDER [jupyter|large]
#
# None of them belongs to Segmend's own pins: some bring a gigabyte, and those only with `large`. Of the others only what
# they truly import is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 folder=$2

# Say what is installed now, for some take minutes, and begin with an empty folder.
begin() { # NAME SIZE
  echo "Installing $1 ($2) in $home."
  rm -rf "$home"
}

# nnInteractive's client for 3D Slicer, napari and scripts, in the oldest version that they take and in the newest.
home=$folder/nninteractive
pins=requirements/viewers-nninteractive.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  begin "nnInteractive's clients" "160 MB"
  "$python" -m venv "$home"
  pip=("$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps)
  "${pip[@]}" --requirement "$pins"
  for version in 2.5.1 2.6.0; do
    "${pip[@]}" --target "$home/$version" "nninteractive-client==$version"
  done
  cp "$pins" "$home/pins.txt" # last: what was interrupted is made again
fi

# What is run by the Python that runs the tests, which has torch and what else it needs, as processes beside ours:
# ITK-SNAP's reference server, whose answers a stand-in makes (its licence is the GPL, and nothing imports it). With
# `jupyter` or `large` also nnU-Net, which judges data sets, and nnInteractive's own server, with a network of the tests in
# place of its weights; their tests take minutes.
for name in itksnap ${3:+nnunet nninteractive-server}; do
  home=$folder/$name
  pins=requirements/viewers-$name.txt
  if ! cmp -s "$pins" "$home/pins.txt"; then
    begin "$name" "8 to 85 MB"
    "$python" -m pip --disable-pip-version-check install --quiet --no-deps --target "$home" --requirement "$pins"
    cp "$pins" "$home/pins.txt"
  fi
done

# MONAI Label's client, with which the built OHIF comes that speaks to such servers.
home=$folder/monai
pins=requirements/viewers-monai.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  begin monailabel "95 MB"
  "$python" -m venv "$home"
  "$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --requirement "$pins"
  cp "$pins" "$home/pins.txt"
fi

# Debian's packages are unpacked beside the others and not installed: an archive that is installed would be started, and
# listen.
unpack() { # HOME PINS NAME
  home=$1 pins=$2
  if cmp -s "$pins" "$home/pins.txt"; then return; fi
  rm -rf "$home"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "$3 is left out: its packages are fetched by apt-get, as root."
    return
  fi
  echo "Unpacking $3 in $home."
  export DEBIAN_FRONTEND=noninteractive
  packages=$home/packages
  mkdir -p "$packages/partial"
  [ -n "${updated:-}" ] || apt-get update -qq
  updated=yes
  grep -v '^#' "$pins" | xargs apt-get install -y -qq --no-install-recommends --download-only \
    -o "Dir::Cache::archives=$(realpath "$packages")" >/dev/null
  for package in "$packages"/*.deb; do dpkg -x "$package" "$home"; done
  rm -rf "$packages"
  cp "$pins" "$home/pins.txt"
}

# Orthanc, a small archive (PACS).
unpack "$folder/orthanc" requirements/viewers-orthanc.txt Orthanc

# dcmtk: other ends of DICOM's own protocol (DIMSE).
unpack "$folder/dcmtk" requirements/viewers-dcmtk.txt dcmtk

# tiny-pacs, another archive; and of Label Studio's SDK what packs and unpacks its masks.
for name in tinypacs labelstudio; do
  home=$folder/$name
  pins=requirements/viewers-$name.txt
  if ! cmp -s "$pins" "$home/pins.txt"; then
    begin "$name" "60 to 140 MB"
    "$python" -m venv "$home"
    "$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --requirement "$pins"
    cp "$pins" "$home/pins.txt"
  fi
done

# Two that judge DICOM files of others: dciodvfy, whether they are what the standard says, and dcmqi, which reads them.
unpack "$folder/dicom3tools" requirements/viewers-dicom3tools.txt dciodvfy
home=$folder/dcmqi
pins=requirements/viewers-dcmqi.txt
if ! cmp -s "$pins" "$home/pins.txt"; then
  begin dcmqi "170 MB"
  "$python" -m venv "$home"
  "$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --requirement "$pins"
  cp "$pins" "$home/pins.txt"
fi

# JupyterLab, for the widget of segmend.show, 250 MB, and BIDS' own validator, 150 MB: with `jupyter` or `large` alone.
if [ -n "${3:-}" ]; then
  home=$folder/bids
  pins=requirements/viewers-bids.txt
  if ! cmp -s "$pins" "$home/pins.txt"; then
    begin "BIDS' validator" "150 MB"
    "$python" -m venv "$home"
    "$home/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --requirement "$pins"
    cp "$pins" "$home/pins.txt"
  fi
  home=$folder/jupyter
  pins=requirements/viewers-jupyter.txt
  if ! cmp -s "$pins" "$home/pins.txt"; then
    begin JupyterLab "260 MB"
    "$python" -m venv "$home"
    "$home/bin/python" -m pip --disable-pip-version-check install --quiet --requirement "$pins"
    cp "$pins" "$home/pins.txt"
  fi
fi

# Large ones: 3D Slicer's core, a gigabyte (its scene, volumes and segmentations, without the program), and napari with
# its plugin, more than that, which needs a display; Label Studio, 800 MB; and OHIF as its makers publish it, 204 MB.
if [ "${3:-}" = large ]; then
  for name in slicer napari labelstudio-server; do
    home=$folder/$name
    pins=requirements/viewers-$name.txt
    if ! cmp -s "$pins" "$home/pins.txt"; then
      begin "$name" "1 to 1.3 GB"
      "$python" -m venv "$home"
      "$home/bin/python" -m pip --disable-pip-version-check install --quiet --requirement "$pins"
      cp "$pins" "$home/pins.txt"
    fi
  done
  home=$folder/ohif
  pins=requirements/viewers-ohif.txt
  if ! cmp -s "$pins" "$home/pins.txt"; then
    begin OHIF "200 MB"
    mkdir -p "$home"
    grep -v '^#' "$pins" | xargs npm pack --silent --pack-destination "$home" >/dev/null
    tar xzf "$home"/*.tgz -C "$home"
    rm "$home"/*.tgz
    cp "$pins" "$home/pins.txt"
  fi
  if ! command -v Xvfb >/dev/null; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
      export DEBIAN_FRONTEND=noninteractive
      [ -n "${updated:-}" ] || apt-get update -qq
      grep -v '^#' requirements/viewers-display.txt | xargs apt-get install -y -qq --no-install-recommends >/dev/null
    else
      echo "Xvfb, the display for napari, is left out: it is installed by apt-get, as root."
    fi
  fi
fi
