#!/bin/sh
# Ten minutes (MINUTES=N) of random calls on three mounts, recorded and judged, while nodes and the
# metaserver are killed, stopped past their leases, cut off and delayed in random order; SEED=N
# replays the order. Needs root, iproute2 and nftables.
set -eu
cd "$(dirname "$0")/../.."
node_modules/.bin/tsc -p test/tsconfig.json
MINUTES=${MINUTES:-10} exec unshare -m -p -f --kill-child --mount-proc --propagation private sh -c '
  mountpoint -q /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections
  node --test --test-reporter=spec dist/test/e2e/history.test.js
  exit $?'
