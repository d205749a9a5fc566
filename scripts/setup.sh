#!/usr/bin/env bash
# Installs what is missing on a Debian machine: system packages, node modules, build.
# Does nothing twice; safe to run as often as you like. Usage: scripts/setup.sh [PACKAGE …]
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

if [ "$(id -u)" = 0 ]; then SUDO=; else SUDO=sudo; fi

# systemd-container: nspawn. mmdebstrap: root filesystems for the demo and the tests.
# g++, make, python3: zstd's binding is built from the source that its npm package carries.
packages=(systemd-container mmdebstrap iproute2 mount util-linux g++ make python3 "$@")
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = 'install ok installed' ] || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    say "missing: ${missing[*]}; install them with this system's package manager"
    exit 1
  fi
  say "installing ${missing[*]}"
  $SUDO apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $SUDO apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
fi

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 20 ]; then
  say 'Node.js 20 or newer is needed: https://nodejs.org/en/download'
  exit 1
fi

# npm writes this file last, so it is newer than the lockfile exactly when the modules fit it.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  say 'installing node modules'
  npm ci --no-audit --no-fund >&2
fi

npm run --silent build >&2
