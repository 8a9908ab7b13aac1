#!/bin/sh
# Twenty rounds (ROUNDS=N) each of what several machines do with one tree: two gits that commit, push
# and collect garbage in one repository, make on two machines after edits on the other one, and
# `tail -f` of what three machines append. About ten minutes, as root.
set -eu
cd "$(dirname "$0")/../.."
sh scripts/test-setup.sh
sh scripts/build.sh
export DFS_TEST_TOTAL_MINUTES=60
ROUNDS=${ROUNDS:-20} STEPS=${STEPS:-6} LINES=${LINES:-200} \
  exec node scripts/test-runner.mjs e2e/shared-git e2e/shared-make e2e/tail
