#!/usr/bin/env bash
# Everything the tests need, then all of them, some files side by side.
# Meanwhile HyperOS is built, where os-image/dist is not of this checkout and a test starts it.
# Usage: scripts/test.sh [PATH …]  (built test files; default: all)
set -euo pipefail
cd "$(dirname "$0")/.."

# docker-registry starts a service where systemd runs; the tests start registries of their own.
unit=/etc/systemd/system/docker-registry.service
if [ -d "${unit%/*}" ] && [ ! -e "$unit" ] && ! command -v docker-registry >/dev/null; then
  if [ "$(id -u)" = 0 ]; then ln -s /dev/null "$unit"; else sudo ln -s /dev/null "$unit"; fi
fi
scripts/setup.sh erofs-utils e2fsprogs attr acl dbus xz-utils bzip2 zstd libarchive-tools \
  skopeo umoci docker-registry apache2-utils iputils-ping openssh-client \
  qemu-system-x86 qemu-utils qemu-system-arm ovmf qemu-efi-aarch64 openssl dnsmasq-base ipxe ipxe-qemu \
  chromium-headless-shell \
  gcc flex bison bc libelf-dev libssl-dev binutils dpkg debian-archive-keyring >&2
# The setup has built. One of these waits for a mirror, the other computes.
scripts/rootfs.sh >/dev/null &
making=$!
scripts/checks.sh >&2 || { wait "$making"; exit 1; }
wait "$making"
DAT_CONTAINER_TEST_ROOTFS=$(scripts/rootfs.sh)
export DAT_CONTAINER_TEST_ROOTFS

files=("$@")
if [ "${#files[@]}" = 0 ]; then
  # Listed from the sources, because a build keeps the output of deleted files.
  mapfile -t files < <(find test -name '*.test.ts' | sort | sed 's#^#build/#; s#ts$#js#')
fi
# The whole suite runs on this release; test/node-releases tries the others.
release=24
node=node
if [ "$(node -p 'process.versions.node.split(".")[0]')" != "$release" ]; then
  node=$(scripts/node-release.sh "$release")
fi
echo "running on Node.js $("$node" --version)" >&2
PATH=$(dirname "$(command -v "$node")"):$PATH exec "$node" build/scripts/run-tests.js --build-image "${files[@]}"
