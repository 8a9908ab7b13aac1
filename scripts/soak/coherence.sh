#!/bin/sh
# Nothing stale in 10,000 looks each way, also as on Linux 6.1 and with a silent node; what nobody
# changes asks nobody for 60 s; the ways two mounts could wait for each other, longer; 20,000 seeds
# of the lease simulation. About twenty minutes, as root.
set -eu
cd "$(dirname "$0")/../.."
sh scripts/test-setup.sh
sh scripts/build.sh
export DFS_TEST_TOTAL_MINUTES=60
ROUNDS=200 WARM_MS=60000 SECONDS=20 LOOKS=10000 SEEDS=20000 \
  exec node scripts/test-runner.mjs e2e/coherence e2e/deadlocks e2e/no-stale sim/leases
