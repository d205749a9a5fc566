#!/usr/bin/env bash
# Everything the tests need, then all of them, some files side by side.
# Meanwhile HyperOS is built, where os-image/dist is not of this checkout and a test starts it.
# Usage: scripts/test.sh [PATH …]  (built test files; default: all). DAT_CONTAINER_TEST_NODE=20 takes another Node.js.
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
  gcc flex bison bc libelf-dev libssl-dev binutils dpkg debian-archive-keyring >&2
npm run --silent ok >&2
DAT_CONTAINER_TEST_ROOTFS=$(scripts/rootfs.sh)
export DAT_CONTAINER_TEST_ROOTFS

files=("$@")
if [ "${#files[@]}" = 0 ]; then
  mapfile -t files < <(find build/test -name '*.test.js' | sort)
fi
# The release that the README names, whatever this machine has: tests start everything with what runs them.
exec "$(scripts/node-release.sh "${DAT_CONTAINER_TEST_NODE:-24}")" build/scripts/run-tests.js --build-image "${files[@]}"
