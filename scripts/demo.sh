#!/usr/bin/env bash
# The main job from nothing: sets the machine up, makes a Debian root filesystem, shares it on one
# "machine" (a network namespace with a home of its own) and boots it by link on another.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo 'mounts and containers need root; running as root with sudo' >&2
  exec sudo --preserve-env=PATH bash scripts/demo.sh "$@"
fi
scripts/setup.sh
rootfs=$(scripts/rootfs.sh)
exec node build/scripts/demo.js "$rootfs"
