#!/bin/sh
# Founds a cluster of two nodes on this machine, runs bench/compare.mjs on it and on local disk,
# and takes everything away again. Arguments go to bench/compare.mjs: --rounds, --scale, --json.
# DFS_BENCH_DIR=DIR: where all of it lies; a real disk, the default is /var/tmp.
set -eu
bench=$(cd "$(dirname "$0")" && pwd)
dfs=$bench/../dfs
work=$(mktemp -d "${DFS_BENCH_DIR:-/var/tmp}/dfs-bench-XXXXXX")

end() {
  trap - EXIT INT TERM
  # Whoever does not stop when asked is ended by the id it wrote down.
  pids=$(cat "$work"/state-?/run/*.pid 2>/dev/null || :)
  timeout 60 "$dfs" stop --state "$work/state-b" >/dev/null 2>&1 || :
  timeout 60 "$dfs" stop --state "$work/state-a" >/dev/null 2>&1 || :
  for mount in "$work/b" "$work/a"; do
    if grep -q " $mount " /proc/self/mounts; then
      timeout 30 "$dfs" unmount "$mount" --force >/dev/null 2>&1 || :
    fi
  done
  for pid in $pids; do
    if { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q "$work"; then kill -9 "$pid" || :; fi
  done
  if grep -q " $work/" /proc/self/mounts; then
    printf 'bench: %s is still mounted, it stays\n' "$work" >&2
    return
  fi
  rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

mkdir "$work/a" "$work/b" "$work/local"
timeout 600 "$dfs" mount "$work/a" --state "$work/state-a" --name bench-a \
  --listen 127.0.0.1:0 --peer-listen 127.0.0.1:0
address=$(timeout 30 "$dfs" status --state "$work/state-a" --json |
  node -p 'JSON.parse(require("fs").readFileSync(0)).listen.metaserver[0]')
timeout 120 "$dfs" mount "$work/b" --state "$work/state-b" --name bench-b \
  --join "$address" --peer-listen 127.0.0.1:0

node "$bench/compare.mjs" --a "$work/a" --b "$work/b" --local "$work/local" "$@"
