#!/usr/bin/env bash
# Makes a Debian root filesystem with systemd, once, and prints its path: minbase, about 200 MB.
# Kept in .cache; delete that to make a new one.
set -euo pipefail
cd "$(dirname "$0")/.."

rootfs=$PWD/.cache/debian-rootfs
if [ ! -d "$rootfs" ]; then
  echo 'making a Debian root filesystem (once, about a minute)' >&2
  mkdir -p .cache
  partial=$rootfs.partial
  rm -rf "$partial"
  mmdebstrap --quiet --mode=root --variant=minbase --include=systemd,systemd-sysv,dbus \
    --customize-hook='rm -f "$1"/etc/machine-id && : > "$1"/etc/machine-id' \
    --customize-hook='echo demo > "$1"/etc/hostname' \
    bookworm "$partial" >&2
  mv "$partial" "$rootfs"
fi
echo "$rootfs"
