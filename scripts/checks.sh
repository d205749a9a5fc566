#!/usr/bin/env bash
# Lint, format and unused exports, side by side: each has one processor busy for most of its time.
# Fails when any of them does. It needs a build.
set -uo pipefail
cd "$(dirname "$0")/.."

running=()
for check in lint format:check unused; do
  npm run --silent "$check" &
  running+=($!)
done
status=0
for each in "${running[@]}"; do wait "$each" || status=1; done
exit "$status"
