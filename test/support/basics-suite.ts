import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DfsUnderTest } from './dfs.ts';

/** What every mount must do, whatever the kernel offers. `mask` is a DFS_FUSE_MASK. */
export function basicsSuite(name: string, mask: string): void {
  test(name, (t) => onFreshMount(t, mask));
}

async function onFreshMount(t: TestContext, mask: string): Promise<void> {
  const dfs = await DfsUnderTest.create(t, { DFS_FUSE_MASK: mask });
  await dfs.mount();

  await t.test('write, read back, append, truncate, holes', async () => {
    const script = `
      echo hello > a; test "$(cat a)" = hello
      echo again >> a; test "$(wc -c < a)" = 12
      truncate -s 3 a; test "$(cat a)" = hel
      truncate -s 10 a; test "$(od -An -c a | tr -d ' \\n')" = 'hel\\0\\0\\0\\0\\0\\0\\0'
      printf tail | dd of=a bs=1 seek=100000 conv=notrunc status=none
      test "$(stat -c %s a)" = 100004; test "$(tail -c 4 a)" = tail
      head -c 3000000 /dev/urandom > big; cp big copy; cmp big copy
      : > empty; test ! -s empty`;
    await dfs.ok(script);
  });

  await t.test('modes, owners and times to the nanosecond', async () => {
    const script = `
      touch m; chmod 4751 m; test "$(stat -c %a m)" = 4751
      chown 12:34 m; test "$(stat -c %u:%g:%a m)" = 12:34:751
      touch -d '2001-02-03 04:05:06.123456789 UTC' m
      test "$(date -u -r m '+%F %T.%N')" = '2001-02-03 04:05:06.123456789'
      touch -d '1960-01-01 00:00:00.5 UTC' m; test "$(stat -c %Y m)" = -315619200
      touch -d '2100-01-01 UTC' m; test "$(stat -c %Y m)" = 4102444800
      (umask 027; touch u; mkdir ud); test "$(stat -c %a u ud | tr '\\n' ' ')" = '640 750 '`;
    await dfs.ok(script);
  });

  await t.test('directories, renames, hard and symbolic links', async () => {
    const script = `
      mkdir -p d/e/f; test "$(stat -c %h d)" = 3
      echo x > d/x; ln d/x d/y; test "$(stat -c %h d/x)" = 2
      ln -s x d/s; test "$(readlink d/s)" = x; test "$(cat d/s)" = x
      mv d/e g; test ! -e d/e; test -d g/f; test "$(stat -c %h d)" = 2
      ! rmdir g 2>/dev/null; rmdir g/f g
      echo new > n; mv n d/x; test "$(cat d/x)" = new; test "$(cat d/y)" = x
      mkdir loop; ! mv loop loop/inside 2>/dev/null
      mkfifo p; test -p p; rm p
      rm -r d; test ! -e d`;
    await dfs.ok(script);
  });

  await t.test('an unlinked file lives until its last close', async () => {
    const script = `
      exec 3<>held; echo kept >&3; rm held; test ! -e held
      test "$(cat /proc/self/fd/3)" = kept; test "$(stat -Lc %h /proc/self/fd/3)" = 0
      echo other > held; exec 3>&-; test "$(cat held)" = other
      echo old > r; exec 4<r; echo new > r2; mv r2 r; test "$(cat <&4)" = old; test "$(cat r)" = new`;
    await dfs.ok(script);
  });

  await t.test('errors carry the right errno', async () => {
    const script = `
      python3 - <<'PY'
import errno, os
def fails(code, call, *args):
    try: call(*args)
    except OSError as error: assert error.errno == code, (call, args, error)
    else: raise AssertionError((call, args, 'did not fail'))
os.mkdir('dir'); open('file', 'w').close()
fails(errno.ENOENT, os.stat, 'missing')
fails(errno.EEXIST, os.mkdir, 'dir')
fails(errno.EEXIST, os.open, 'file', os.O_CREAT | os.O_EXCL)
fails(errno.ENOTDIR, os.stat, 'file/x')
fails(errno.EISDIR, os.open, 'dir', os.O_WRONLY)
fails(errno.EISDIR, os.unlink, 'dir')
fails(errno.ENOTDIR, os.rmdir, 'file')
os.mkdir('dir/sub'); fails(errno.ENOTEMPTY, os.rmdir, 'dir')
fails(errno.ENAMETOOLONG, os.stat, 'n' * 256)
open('n' * 255, 'w').close()
fails(errno.EINVAL, os.rename, 'dir', 'dir/sub/x')
fails(errno.EPERM, os.link, 'dir', 'hard')
fails(errno.EINVAL, os.readlink, 'file')
fails(errno.EFBIG, os.truncate, 'file', 999999999999999); assert os.stat('file').st_size == 0
fails(errno.EOPNOTSUPP, os.getxattr, 'file', 'user.none')
name = b'\\xff\\xfe raw \\n bytes'
open(name, 'w').close(); assert name in os.listdir(b'.'); os.unlink(name)
PY`;
    await dfs.ok(script);
  });

  await t.test('a listing of thousands is whole, also while names come and go', async () => {
    const script = `
      mkdir many; cd many; seq -f 'stay%g' 1 3000 | xargs touch
      test "$(ls | wc -l)" = 3000; test "$(ls -l | grep -c stay)" = 3000
      (for n in $(seq 1 300); do touch "go$n"; rm "go$n"; done) &
      for n in 1 2 3; do test "$(ls | grep -c stay)" = 3000; done
      wait; test "$(ls -f | sort | uniq -d | wc -l)" = 0; cd ..; rm -r many`;
    await dfs.ok(script);
  });

  await t.test('a file is mapped, locked and appended to by several processes', async () => {
    const script = `
      for n in 1 2 3 4; do (for i in $(seq 1 100); do echo "writer$n line$i" >> log; done) & done; wait
      test "$(sort log | uniq | wc -l)" = 400; test "$(wc -l < log)" = 400
      python3 - <<'PY'
import mmap, os, fcntl
with open('map', 'w+b') as f:
    f.truncate(8192); m = mmap.mmap(f.fileno(), 8192); m[4000:4005] = b'hello'; m.flush(); m.close()
assert open('map', 'rb').read()[4000:4005] == b'hello'
with open('lock', 'w') as a, open('lock', 'w') as b:
    fcntl.flock(a, fcntl.LOCK_EX)
    try: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB); raise AssertionError('locked twice')
    except BlockingIOError: pass
PY`;
    await dfs.ok(script);
  });

  await t.test(
    'status tells the mount, unmount ends it, and a new mount has everything',
    async () => {
      await dfs.ok('echo still > survivor');
      const before = await dfs.status();
      assert.equal(before.node.state, 'up');
      assert.equal(before.metaserver.state, 'up');
      assert.equal(before.mounts[0]?.mountpoint, dfs.mountpoint);
      assert.ok((before.fuse.requests['LOOKUP'] ?? 0) > 0);
      const again = await dfs.cli(['mount', dfs.mountpoint]);
      assert.equal(again.code, 0, again.stderr);
      assert.match(again.stdout + again.stderr, /already/);
      const unmounted = await dfs.cli(['unmount', dfs.mountpoint]);
      assert.equal(unmounted.code, 0, unmounted.stderr);
      assert.deepEqual((await dfs.status()).mounts, []);
      await dfs.mount();
      assert.equal(await dfs.ok('cat survivor'), 'still\n');
      const stopped = await dfs.cli(['stop']);
      assert.equal(stopped.code, 0, stopped.stderr);
      const after = await dfs.status();
      assert.equal(after.node.state, 'down');
      assert.equal(after.metaserver.state, 'down');
      await dfs.mount();
      assert.equal(await dfs.ok('cat survivor'), 'still\n');
    },
  );
}
