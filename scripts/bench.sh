#!/usr/bin/env bash
# Runs one benchmark on the root filesystem of the demo, after all its set-up.
# Usage: scripts/bench.sh NAME [ARGUMENT …]   see bench/README.md
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1-}
if [ -z "$name" ] || [ ! -f "bench/$name.ts" ]; then
  echo 'usage: npm run bench -- NAME [ARGUMENT …]; bench/README.md tells of each' >&2
  exit 2
fi
shift
packages=(iputils-ping)
if [ "$name" = machine ]; then packages+=(qemu-system-x86 openssh-client); fi
scripts/setup.sh "${packages[@]}"
rootfs=$(scripts/rootfs.sh)
exec node "build/bench/$name.js" "$rootfs" "$@"
