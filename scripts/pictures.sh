#!/usr/bin/env bash
# Measures a boot of the demo's root filesystem and draws the pictures of the documentation.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
rootfs=$(scripts/rootfs.sh)
exec node build/scripts/pictures.js "$rootfs"
