#!/bin/sh
# Power cuts on a store that forgets what was not synced (ROUNDS=N, SEED=N replays a run).
# Needs root; the mounts live in a private mount namespace.
set -eu
cd "$(dirname "$0")/../.."
node_modules/.bin/tsc -p test/tsconfig.json
ROUNDS=${ROUNDS:-20} exec unshare -m --propagation private \
  node --test --test-concurrency=1 --test-reporter=spec dist/test/mount/power-cut.test.js \
  dist/test/mount/cluster-power-cut.test.js
