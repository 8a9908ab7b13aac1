#!/bin/sh
# Programs on several machines that write to the same files: four append 100,000 lines (LINES=N each)
# that `tail -f` shows on a fourth machine, sqlite for five minutes (SQLITE_S=N), twenty rounds
# (ROUNDS=N) of ten seconds (ROUND_S=N) of counters under locks while programs, nodes and the
# metaserver are killed, 100,000 operations (STEPS=N) on one file through two mounts (SEED=N replays
# either). About forty minutes, bounded, as root; the mounts live in a private namespace. ONLY=NAME
# runs one of tail, sqlite-shared, lock-counters, two-mounts.
set -eu
cd "$(dirname "$0")/../.."
sh scripts/build.sh
node_modules/.bin/tsc -p test/tsconfig.json
failed=0

show() { # show MINUTES NAME VARIABLE=VALUE...: runs the test, prints what it says
  minutes=$1
  name=$2
  shift 2
  [ "${ONLY:-$name}" = "$name" ] || return 0
  echo "== $name $*"
  env "$@" timeout -k 10 "${minutes}m" \
    unshare -m -p -f --kill-child --mount-proc --propagation private sh -c '
      mountpoint -q /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections
      node --test --test-reporter=spec "$1"
      exit $?' sh "dist/test/e2e/$name.test.js" || failed=1
}

lines=${LINES:-25000}
sqlite_s=${SQLITE_S:-300}
rounds=${ROUNDS:-20}
round_s=${ROUND_S:-10}
steps=${STEPS:-100000}
show "$((5 + lines / 1000))" tail APPENDERS=4 LINES="$lines"
show "$((5 + sqlite_s / 30))" sqlite-shared SECONDS="$sqlite_s"
show "$((5 + rounds * (round_s + 60) / 60))" lock-counters ROUNDS="$rounds" SECONDS="$round_s"
show "$((5 + steps / 2000))" two-mounts STEPS="$steps" SECONDS="$((steps / 40))"
exit "$failed"
