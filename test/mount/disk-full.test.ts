import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DfsUnderTest, run } from '../support/dfs.ts';
import { onSmallDisk } from '../support/small-disk.ts';

const DISK = '192m';

test('a full disk says ENOSPC at write(2), keeps what it has, and deleting works', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  const disk = await onSmallDisk(dfs, DISK);
  await dfs.mount();

  await t.test('write(2) fails with ENOSPC and what was written before is whole', async () => {
    await dfs.ok(`
      head -c 8M /dev/urandom > kept; sha256sum kept > kept.sum
      python3 - <<'PY'
import errno, os
fd = os.open('filler', os.O_CREAT | os.O_WRONLY)
block = os.urandom(1 << 20)
try:
    while True: assert os.write(fd, block) == len(block)
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.close(fd)   # nothing is left to fail here
PY
      sha256sum -c kept.sum; test "$(stat -c %s filler)" -gt 50000000`);
    const status = await dfs.status();
    assert.equal(status.mounts[0]?.state, 'up');
  });

  await t.test('also when somebody else takes the last byte, unlink frees space', async () => {
    await run('bash', ['-c', `head -c 512M /dev/zero > ${disk}/other`]);
    const refused = await dfs.sh('head -c 1M /dev/urandom > more');
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /No space left/);
    const status = await dfs.status();
    assert.ok(
      status.problems.some((problem) => problem.code.includes('space')),
      JSON.stringify(status.problems),
    );
    await dfs.ok('sha256sum -c kept.sum; rm filler');
    await run('rm', [`${disk}/other`]);
  });

  await t.test('space comes back and writes work again', async () => {
    const script = `
      for n in $(seq 1 100); do
        if head -c 20M /dev/urandom > again 2>/dev/null; then exit 0; fi; sleep 0.1
      done; exit 1`;
    await dfs.ok(script);
    await dfs.ok('sha256sum -c kept.sum; test "$(stat -c %s again)" = 20971520');
  });

  await t.test('and everything is there after a restart', async () => {
    assert.equal((await dfs.cli(['stop'])).code, 0);
    await dfs.mount();
    await dfs.ok('sha256sum -c kept.sum');
    assert.match(await readFile(join(dfs.stateDir, 'format.json'), 'utf8'), /dfs-state/);
  });
});
