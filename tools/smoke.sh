#!/usr/bin/env bash
# Install a package alone in an empty environment and make a mask with it: smoke.sh PYTHON PACKAGE (a wheel, or . for this folder)
set -euo pipefail
python=$1
package=$([ "$2" = . ] && pwd || realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-compile "$package"
cd "$folder" # nothing of the working tree may be imported
export SEGMEND_FOLDER=$folder/kept
segmend=$folder/venv/bin/segmend
"$segmend" --version
"$segmend" doctor --json >doctor.json
"$segmend" samples demo --kind head --cases 1
"$segmend" segment demo/head/images/head_000.png --click 0,150,190 -o mask.nii.gz
test -s mask.nii.gz
"$folder/venv/bin/python" -c "import segmend; assert segmend.load('mend')"
echo "$("$python" -V): installed, $(du -sm "$folder/venv/lib" | cut -f 1) MB, and a mask was made."
