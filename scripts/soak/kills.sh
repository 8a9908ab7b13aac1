#!/bin/sh
# Thirty kills of node and metaserver under load (ROUNDS=N changes that, SEED=N replays a run).
# Needs root; the mounts live in a private mount namespace.
set -eu
cd "$(dirname "$0")/../.."
node_modules/.bin/tsc -p test/tsconfig.json
ROUNDS=${ROUNDS:-30} exec unshare -m --propagation private \
  node --test --test-reporter=spec dist/test/mount/kills.test.js
