#!/usr/bin/env bash
# Prints the path of a release of Node.js, which is fetched once, from npm, into .cache/node.
# Usage: scripts/node-release.sh MAJOR   (20, 22, 24 or 26)
set -euo pipefail
cd "$(dirname "$0")/.."

# The releases that the tests run on; npm checks what it fetches against the registry's digests.
case ${1-} in
  20) version=20.20.2 ;;
  22) version=22.23.5 ;;
  24) version=24.22.3 ;;
  26) version=26.12.1 ;;
  *)
    echo 'usage: scripts/node-release.sh MAJOR   (20, 22, 24 or 26)' >&2
    exit 2
    ;;
esac
package=node-linux-$(node -p process.arch)
folder=$PWD/.cache/node/$version
program=$folder/node_modules/$package/bin/node
if [ ! -x "$program" ]; then
  echo "fetching Node.js $version (once)" >&2
  mkdir -p .cache/node
  partial=$(mktemp -d "$folder.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$partial" "$package@$version" >&2
  # mktemp closes it to others; tests run commands as another user.
  chmod 755 "$partial"
  rm -rf "$folder"
  # Where another has put it there meanwhile, that one is as good.
  mv -T "$partial" "$folder" 2>/dev/null || [ -x "$program" ]
fi
echo "$program"
