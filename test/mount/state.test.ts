/** State folders that must be refused, and processes that must not get in each other's way. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DfsUnderTest, run } from '../support/dfs.ts';
import { isAlive, until } from '../support/processes.ts';

/** A stopped node with one file in its mount. */
async function stopped(t: TestContext): Promise<DfsUnderTest> {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  await dfs.ok('echo precious > file');
  assert.equal((await dfs.cli(['stop'])).code, 0);
  return dfs;
}

async function refused(dfs: DfsUnderTest, sentence: RegExp): Promise<void> {
  const output = await dfs.cli(['mount', dfs.mountpoint]);
  assert.equal(output.code, 1, output.stdout);
  assert.match(output.stderr, sentence);
  assert.equal(output.stderr.trim().split('\n').length, 1, output.stderr);
}

async function stillThere(dfs: DfsUnderTest): Promise<void> {
  await dfs.mount();
  assert.equal(await dfs.ok('cat file'), 'precious\n');
}

test('a foreign, newer, truncated or incomplete state folder is refused and left alone', async (t) => {
  const dfs = await stopped(t);
  const format = join(dfs.stateDir, 'format.json');
  const good = await readFile(format, 'utf8');

  await writeFile(format, good.replace('dfs-state', 'other-state'));
  await refused(dfs, /format\.json/);
  await writeFile(format, good.replace(/"format": ?1/, '"format": 2'));
  await refused(dfs, /newer/);
  await writeFile(format, good.slice(0, 40));
  await refused(dfs, /format\.json/);
  await writeFile(format, good);
  for (const part of ['meta', 'index', 'data']) {
    await rename(join(dfs.stateDir, part), join(dfs.stateDir, 'elsewhere'));
    await refused(dfs, new RegExp(part));
    await rename(join(dfs.stateDir, 'elsewhere'), join(dfs.stateDir, part));
  }
  await stillThere(dfs);
});

test('another cluster’s database under a state folder is refused', async (t) => {
  const dfs = await stopped(t);
  const other = await stopped(t);
  const meta = join(dfs.stateDir, 'meta');
  await rename(meta, `${meta}-own`);
  await cp(join(other.stateDir, 'meta'), meta, { recursive: true });
  await refused(dfs, /cluster/);
  await rm(meta, { recursive: true });
  await rename(`${meta}-own`, meta);
  await stillThere(dfs);
});

test('a database cut off in the middle is refused with a sentence', async (t) => {
  const dfs = await stopped(t);
  const current = join(dfs.stateDir, 'meta', 'CURRENT');
  const good = await readFile(current);
  await truncate(current, 3);
  await refused(dfs, /meta/);
  await writeFile(current, good);
  await stillThere(dfs);
});

test('a folder with other things in it never becomes a state folder', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await mkdir(dfs.stateDir);
  await writeFile(join(dfs.stateDir, 'letter.txt'), 'dear');
  await refused(dfs, /not empty|not a dfs state/);
  assert.equal(await readFile(join(dfs.stateDir, 'letter.txt'), 'utf8'), 'dear');
});

test('a mountpoint that is a file, or not empty, is refused', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await mkdir(dfs.mountpoint);
  await writeFile(join(dfs.mountpoint, 'mine'), '');
  await refused(dfs, /empty/);
  await rm(dfs.mountpoint, { recursive: true });
  await writeFile(dfs.mountpoint, '');
  await refused(dfs, /director|folder/);
});

test('two mounts at once end with one node, and a second mountpoint is refused', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  const both = await Promise.all([
    dfs.cli(['mount', dfs.mountpoint]),
    dfs.cli(['mount', dfs.mountpoint]),
  ]);
  for (const output of both) assert.equal(output.code, 0, output.stderr);
  assert.equal((await dfs.status()).mounts.length, 1);
  const elsewhere = await dfs.cli(['mount', join(dfs.dir, 'second')]);
  assert.equal(elsewhere.code, 1);
  assert.match(elsewhere.stderr, /already|serves/);
});

test('SIGTERM of the node flushes and unmounts', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  await dfs.ok('head -c 3M /dev/urandom > data; sha256sum data > sum');
  const node = await dfs.pid('node');
  process.kill(node, 'SIGTERM');
  await until('the node ends', () => !isAlive(node));
  assert.equal((await dfs.status()).node.state, 'down');
  await dfs.mount();
  await dfs.ok('sha256sum -c sum');
});

test('a mount that was ended by umount(8) can be mounted again', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  await dfs.ok('echo by-hand > file');
  assert.equal((await run('umount', [dfs.mountpoint])).code, 0);
  await dfs.mount();
  assert.equal(await dfs.ok('cat file'), 'by-hand\n');
});

test('unmount of a busy mount says so, and --force ends it within five seconds', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  const holder = dfs.sh('exec 3<.; sleep 60', 30_000);
  await until('the mount is busy', async () => {
    const busy = await dfs.cli(['unmount', dfs.mountpoint]);
    if (busy.code === 0) await dfs.mount();
    return busy.code === 1 && /in use|busy/i.test(busy.stderr);
  });
  const start = performance.now();
  const forced = await dfs.cli(['unmount', dfs.mountpoint, '--force']);
  assert.equal(forced.code, 0, forced.stderr);
  assert.ok(performance.now() - start < 6_000);
  assert.deepEqual((await dfs.status()).mounts, []);
  await dfs.mount();
  await dfs.cli(['stop']);
  await holder;
});
