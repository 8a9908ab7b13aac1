#!/bin/sh
# Everything that can be said about the sources without running them: format, lint, promises,
# types, wire contract, dependency directions. Runs every step; prints `ok STEP` or `FAILED STEP`.
set -u
cd "$(dirname "$0")/.." || exit 1
export NO_COLOR=1
lint=tools/lint/node_modules/.bin
failed=0

# What only checking needs lies apart, so that mounting does not download it.
install_lint() {
  if [ -e tools/lint/node_modules/.package-lock.json ] &&
    [ ! tools/lint/package-lock.json -nt tools/lint/node_modules/.package-lock.json ]; then
    return 0
  fi
  (cd tools/lint && npm ci --ignore-scripts --no-audit --no-fund) || return 1
  touch tools/lint/node_modules/.package-lock.json
}

step() {
  name=$1
  shift
  if output=$("$@" 2>&1); then
    printf 'ok %s\n' "$name"
  else
    printf '%s\n' "$output"
    printf 'FAILED %s\n' "$name"
    failed=1
  fi
}

promises() { PATH="$PWD/$lint:$PATH" oxlint --format=unix; }
compiled_tests() { node_modules/.bin/tsc -p test/tsconfig.json; }
directions() { node --test --test-reporter=dot dist/test/unit/house.test.js; }

step 'lint tools installed' install_lint
step 'format and lint' "$lint/biome" ci --colors=off --error-on-warnings --max-diagnostics=100 .
step 'types of src' node_modules/.bin/tsc -p tsconfig.json
step 'types of test' compiled_tests
step 'promises and unsafe values' promises
step 'wire contract' node_modules/.bin/buf lint
step 'dependency directions and house rules' directions
exit "$failed"
