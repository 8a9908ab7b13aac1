#!/bin/sh
# The main job on several nodes, in full size: a repository of thousands of files (FILES=N) and a
# large file (MEBIBYTES=N) shared by two nodes on one machine and by three machines of a network of
# their own, looks that must not be stale (LOOKS=N), then networks that break (WAIT_S=N). Needs
# root, iproute2 and nftables.
set -eu
cd "$(dirname "$0")/../.."
node_modules/.bin/tsc -p test/tsconfig.json
export FILES="${FILES:-3000}" MEBIBYTES="${MEBIBYTES:-1024}" WAIT_S="${WAIT_S:-20}"
export LOOKS="${LOOKS:-10000}"
exec unshare -m --propagation private node --test --test-concurrency=1 --test-reporter=spec \
  dist/test/e2e/two-nodes.test.js dist/test/e2e/three-nodes.test.js \
  dist/test/e2e/no-stale-looks.test.js dist/test/e2e/partition.test.js
