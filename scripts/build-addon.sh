#!/bin/sh
# Builds build/Release/dfs.node against the headers that lie beside the running Node, and
# dfs-guardian beside it. Run from the repository root. Downloads nothing; the compiler's output is
# in build/addon.log and is shown only when the build fails.
set -eu

fail() {
  echo "dfs: $1" >&2
  exit 1
}

[ -f binding.gyp ] || fail 'scripts/build-addon.sh must be run from the repository root.'
[ "$(uname -s)" = Linux ] || fail 'the native driver needs Linux; use --driver fuse-native here.'
command -v node >/dev/null || fail 'Node.js 20 or newer is missing.'
command -v python3 >/dev/null ||
  fail 'python3 is missing, which the build of the native addon needs: apt install python3'
command -v make >/dev/null ||
  fail 'make is missing, which the build of the native addon needs: apt install make'
command -v "${CXX:-g++}" >/dev/null ||
  fail "${CXX:-g++} is missing, which the build of the native addon needs: apt install g++"
[ -f node_modules/node-gyp/bin/node-gyp.js ] && [ -f node_modules/node-addon-api/napi.h ] ||
  fail 'node_modules is incomplete: run npm ci --ignore-scripts first.'

prefix=$(node -p 'path.dirname(path.dirname(process.execPath))')
running=$(node -p 'process.versions.node')
headers=$prefix/include/node
number() {
  sed -n "s/^#define NODE_$1_VERSION \([0-9][0-9]*\)\$/\1/p" "$headers/node_version.h"
}
[ -f "$headers/node.h" ] && [ -f "$headers/node_version.h" ] ||
  fail "the C++ headers of Node $running are not in $headers: install a Node that \
comes with them (Debian's own nodejs: apt install libnode-dev)."
found=$(number MAJOR).$(number MINOR).$(number PATCH)
[ "$found" = "$running" ] ||
  fail "the headers in $headers are of Node $found but Node $running is running: install the \
headers of $running there, or run the Node they belong to."

mkdir -p build
log=build/addon.log
echo 'dfs: building the native addon'
if ! node node_modules/node-gyp/bin/node-gyp.js configure build --release -j max \
  --nodedir="$prefix" --python="$(command -v python3)" >"$log" 2>&1; then
  cat "$log" >&2
  fail "the native addon did not build; the log above is also in $log."
fi
node -e 'require("./build/Release/dfs.node")' ||
  fail 'the native addon was built but this Node cannot load it.'
build/Release/dfs-guardian --check || fail 'the guardian was built but does not run here.'
