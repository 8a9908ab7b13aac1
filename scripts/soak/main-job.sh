#!/usr/bin/env bash
# The main job on a mounted dfs, beside the same job on local disk:
#
#     scripts/soak/main-job.sh MOUNTPOINT [REPOSITORY [MEBIBYTES]]
#
# Clones a repository of thousands of files, checks it, works on it as people do, runs `npm ci` and
# the build of this project, copies a large file, and compares every result with local disk.
# REPOSITORY is anything git can clone; without it one is made from this checkout's node_modules.
# Prints one line per step and `N passed, N failed` last; exits 1 when a step failed.
set -u
mount=$(readlink -f "${1:?usage: main-job.sh MOUNTPOINT [REPOSITORY [MEBIBYTES]]}")
here=$(cd "$(dirname "$0")/../.." && pwd)
repository=${2:-}
mebibytes=${3:-1024}
local_dir=$(mktemp -d "${TMPDIR:-/tmp}/dfs-main-job.XXXXXX")
job=$(mktemp -d "$mount/main-job.XXXXXX")
trap 'rm -rf "$local_dir"; rm -rf "$job"' EXIT
export HOME=$local_dir GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=dfs GIT_AUTHOR_EMAIL=dfs@localhost
export GIT_COMMITTER_NAME=dfs GIT_COMMITTER_EMAIL=dfs@localhost
passed=0 failed=0

step() { # step NAME COMMAND...: runs it bounded, prints how it went and how long it took
  local name=$1 start end
  shift
  start=$(date +%s%N)
  if timeout -k 10 900 bash -c '"$@"' step "$@" >"$local_dir/out" 2>&1; then
    end=$(date +%s%N)
    passed=$((passed + 1))
    printf 'ok    %-28s %6d ms\n' "$name" $(((end - start) / 1000000))
  else
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$name"
    tail -n 20 "$local_dir/out" | sed 's/^/      /'
  fi
}

make_repository() { # a real tree of thousands of files, when none was given
  repository=$local_dir/source
  mkdir "$repository"
  (cd "$here" && tar cf - --exclude='*/prebuilds' node_modules src test) | tar xf - -C "$repository"
  git -C "$repository" init -q
  git -C "$repository" add -A -f .
  git -C "$repository" commit -qm 'A tree of real files'
}

same_tree() { diff -r --no-dereference --exclude=.git "$local_dir/clone" "$job/clone"; }

clone() { git clone -q --no-hardlinks "$repository" "$job/clone"; }
reference() { git clone -q --no-hardlinks "$repository" "$local_dir/clone"; }
clean_status() { test -z "$(git -C "$job/clone" status --porcelain)"; }
commit_twice() {
  (
    set -e
    cd "$job/clone"
    git checkout -q -b work
    echo changed >>"$(git ls-files | head -n 1)"
    git commit -qam 'One change'
    git mv "$(git ls-files | sed -n 2p)" moved-file
    git commit -qm 'One move'
    git checkout -q -
    git merge -q work
    git gc -q
  )
}
large_copy() {
  head -c "${mebibytes}M" /dev/urandom >"$local_dir/large" &&
    cp "$local_dir/large" "$job/large" &&
    cmp "$local_dir/large" "$job/large" &&
    test "$(sha256sum <"$local_dir/large")" = "$(sha256sum <"$job/large")"
}
sed_in_place() {
  (
    set -e
    for dir in "$local_dir" "$job"; do
      seq 1 20000 >"$dir/numbers"
      sed -i 's/7/seven/g; 5d' "$dir/numbers"
    done
    cmp "$local_dir/numbers" "$job/numbers"
    test "$(ls -A "$job" | grep -c '^sed')" = 0
  )
}
vim_batch() {
  (
    set -e
    for dir in "$local_dir" "$job"; do
      seq 1 500 >"$dir/edited.txt"
      vim -u NONE -N -es -c 'set backup writebackup swapfile' -c '%s/^1/one/' -c '$d' -c 'wq' \
        "$dir/edited.txt"
    done
    cmp "$local_dir/edited.txt" "$job/edited.txt"
    test ! -e "$job/.edited.txt.swp"
  )
}
tar_round_trip() {
  (
    set -e
    mkdir "$job/untarred"
    tar cf "$job/tree.tar" -C "$local_dir/clone" --exclude .git .
    tar xpf "$job/tree.tar" -C "$job/untarred"
    tar cf "$local_dir/back.tar" -C "$job/untarred" .
    mkdir "$local_dir/back"
    tar xpf "$local_dir/back.tar" -C "$local_dir/back"
    diff -r --no-dereference --exclude=.git "$local_dir/clone" "$local_dir/back"
    (cd "$local_dir/clone" && find . -path ./.git -prune -o ! -type d -printf '%T@ %m %s %p %l\n' | sort -k 4) >"$local_dir/list-a"
    (cd "$job/untarred" && find . ! -type d -printf '%T@ %m %s %p %l\n' | sort -k 4) >"$local_dir/list-b"
    # tar keeps whole seconds
    sed -i 's/^\(-*[0-9]*\)\.[0-9]* /\1 /' "$local_dir/list-a" "$local_dir/list-b"
    cmp "$local_dir/list-a" "$local_dir/list-b"
  )
}
npm_build() {
  git clone -q "$here" "$job/project" &&
    (cd "$job/project" && npm ci --ignore-scripts --no-audit --no-fund && sh scripts/build.sh &&
      ./dfs version)
}
c_project() {
  (
    set -e
    mkdir "$job/c"
    cd "$job/c"
    for n in $(seq 1 40); do echo "int f$n(void) { return $n; }" >"f$n.c"; done
    { seq -f 'int f%g(void);' 1 40; echo 'int main(void) { return 0'; seq -f ' + 0 * f%g()' 1 40; echo '; }'; } >main.c
    printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tcc -o $@ $^\n' >Makefile
    make -j2
    ./prog
    make -q
    touch f7.c
    make | grep -c '^cc.*-c' | grep -qx 1
  )
}
delete_all() {
  find "$job/untarred" -delete && test ! -e "$job/untarred" && rm -rf "$job/clone" &&
    test ! -e "$job/clone"
}

[ -n "$repository" ] || make_repository
export repository local_dir job here mebibytes
export -f reference clone same_tree clean_status commit_twice large_copy sed_in_place vim_batch
export -f tar_round_trip npm_build c_project delete_all
step 'clone (local, to compare)' reference
step 'clone' clone
step 'same tree as local clone' same_tree
step 'git status is clean' clean_status
step 'git fsck' git -C "$job/clone" fsck --full --strict
step 'commit, move, merge, gc' commit_twice
step 'git fsck again' git -C "$job/clone" fsck --full
step "copy of $mebibytes MiB" large_copy
step 'sed -i' sed_in_place
step 'vim in batch mode' vim_batch
step 'tar round trip' tar_round_trip
step 'make -j2' c_project
step 'npm ci and build' npm_build
step 'find -delete, rm -rf' delete_all
echo "$passed passed, $failed failed"
test "$failed" = 0
