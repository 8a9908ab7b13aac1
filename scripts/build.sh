#!/bin/sh
# Builds everything that running dfs needs: packages, wire code, JavaScript, the addon. Each step
# that can fail ends with one sentence saying what to do; what the tools print goes to
# build/build.log. The caller (./dfs or npm run build) sees one line a step.
set -u
cd "$(dirname "$0")/.." || exit 1
log=build/build.log

say() { printf 'dfs: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

need() {
  command -v "$1" >/dev/null 2>&1 || die "$1 is missing, and building needs it: install $2 (Debian: apt-get install $2)"
}

check_tools() {
  need node nodejs
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "node $(node --version) is too old: dfs needs node 20 or newer"
  need npm npm
  need g++ g++
  need make make
  need python3 python3
}

# Runs a step with its output in the log.
quietly() {
  printf '\n== %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1
}

unreachable() {
  tail -n 60 "$log" | grep -Eq 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET|network'
}

install_packages() {
  if [ -e node_modules/.package-lock.json ] && [ ! package-lock.json -nt node_modules/.package-lock.json ]; then
    return
  fi
  if [ -e node_modules ]; then say 'installing packages (they changed)'; else say 'installing packages (first use, about 60 MB)'; fi
  if ! quietly npm ci --ignore-scripts --include=dev --include=optional --no-audit --no-fund; then
    if unreachable; then
      die "the package registry $(npm config get registry 2>/dev/null) cannot be reached: check the network and run this again (log: $PWD/$log)"
    fi
    die "installing packages failed (npm ci); the reason is in $PWD/$log"
  fi
  # npm keeps the time of an unchanged list, which would look older than the lock file for ever.
  touch node_modules/.package-lock.json
}

# Output whose source is gone would still be imported, and still be tested.
prune_output() {
  [ -d dist ] || return 0
  find dist -name '*.js' | while read -r file; do
    source=${file#dist/}
    [ -e "${source%.js}.ts" ] || rm -f "$file" "$file.map"
  done
}

generate_wire_code() {
  if [ -d gen ] && [ -z "$(find proto buf.gen.yaml buf.yaml package-lock.json -newer gen -print -quit)" ]; then
    return
  fi
  say 'generating wire code'
  quietly node_modules/.bin/buf generate || die "generating code from proto/ failed; the reason is in $PWD/$log"
  touch gen
}

compile() {
  say 'compiling'
  prune_output
  quietly node_modules/.bin/tsc -p tsconfig.json || {
    tail -n 20 "$log" >&2
    die "compiling src/ failed; all messages are in $PWD/$log"
  }
}

build_addon() {
  say 'building the addon'
  quietly sh scripts/build-addon.sh && return
  # Its own sentence says more than "failed".
  reason=$(grep '^dfs: ' "$log" | tail -n 1)
  die "${reason#dfs: } (log: $PWD/$log)"
}

check_tools
mkdir -p build 2>/dev/null && [ -w build ] || die "$PWD/build cannot be written, and dfs must be built first"
: >"$log"
# Sources that change while this runs are newer than the stamp, and lead to another build.
node --version >build/stamp.new
install_packages
generate_wire_code
compile
build_addon
mv build/stamp.new build/stamp
