#!/usr/bin/env bash
# Install the named Debian packages that are missing, or say which they are: system.sh chromium-headless-shell postgresql
set -euo pipefail

present() {
  case $1 in
    chromium-headless-shell) # or any that has windows, too
      command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome
      ;;
    postgresql) command -v initdb || ls /usr/lib/postgresql/*/bin/initdb ;;
    firefox-esr) command -v firefox-esr || command -v firefox ;;
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

missing=()
for name in "$@"; do present "$name" || missing+=("$name"); done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "Installing ${missing[*]}."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  for i in "${!missing[@]}"; do # Ubuntu has Chromium with windows only
    [ "${missing[i]}" != chromium-headless-shell ] || apt-cache show chromium-headless-shell >/dev/null 2>&1 || missing[i]=chromium
  done
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Please install ${missing[*]} first, for example: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
