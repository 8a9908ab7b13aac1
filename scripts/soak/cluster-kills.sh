#!/bin/sh
# Thirty kills in a cluster of two nodes under load, which comes back without a command (ROUNDS=N
# changes that, SEED=N replays a run). Needs root; the mounts live in a private mount namespace.
set -eu
cd "$(dirname "$0")/../.."
node_modules/.bin/tsc -p test/tsconfig.json
ROUNDS=${ROUNDS:-30} exec unshare -m --propagation private \
  node --test --test-reporter=spec dist/test/mount/cluster-kills.test.js
