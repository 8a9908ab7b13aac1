#!/bin/sh
# Programs that tests run on the mount. Missing ones are installed where that is possible, else
# named: the tests that need them say so and are skipped.
set -u
packages=
want() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
want git git
want vim vim
want tar tar
want sqlite3 sqlite3
want make make
want gcc gcc
want flock util-linux
want unshare util-linux
want ip iproute2
want nft nftables
want ps procps
want setfattr attr

[ -z "$packages" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  printf 'tests: not installed, and cannot be by this user:%s\n' "$packages"
  exit 0
fi
printf 'tests: installing%s\n' "$packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null 2>&1; then
  printf 'tests: apt-get could not install%s; tests that need them are skipped\n' "$packages"
fi
exit 0
