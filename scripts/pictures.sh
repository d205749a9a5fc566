#!/usr/bin/env bash
# Takes pictures of the page, measures a boot of the demo's root filesystem and draws the pictures of the documentation.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh chromium-headless-shell fonts-inter
# Where a desktop has a font for its interface, Debian without one has a font for terminals.
fonts=$(mktemp)
trap 'rm -f "$fonts"' EXIT
cat >"$fonts" <<'XML'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>
XML
rootfs=$(scripts/rootfs.sh)
FONTCONFIG_FILE=$fonts node build/scripts/pictures.js "$rootfs"
