#!/bin/sh
# npm test [-- GROUP...]: installs, builds, checks, tests. The last line counts all of it.
set -u
cd "$(dirname "$0")/.." || exit 1
sh scripts/test-setup.sh
if ! sh scripts/build.sh; then
  printf '0 passed, 1 failed, 0 skipped\n'
  exit 1
fi
exec node scripts/test-runner.mjs "$@"
