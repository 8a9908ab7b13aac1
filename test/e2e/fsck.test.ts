/**
 * `dfs fsck` on real mounts: clean through everything that may go wrong with files that are removed
 * while they are open, and not clean when records or backing files were damaged.
 */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { FsckReport } from '../../src/common/core/fsck-report.ts';
import { asEpoch, asIno } from '../../src/common/ids.ts';
import { inodeKey } from '../../src/metaserver/core/keyspace.ts';
import { LevelKv } from '../../src/metaserver/level-kv.ts';
import { type ClusterNode, killRole, TestCluster } from '../support/cluster.ts';
import { DfsUnderTest, expectOk, run } from '../support/dfs.ts';
import { fsck, requireSound } from '../support/fsck.ts';
import { HeldFile } from '../support/held-file.ts';
import { until } from '../support/processes.ts';

const FILES = 8;
const FILE_MIB = 2;
const BACK_MS = 60_000;
const GONE_MS = 60_000;
const MIB = 1024 * 1024;

/** What the backing files of a node take of its disk. */
async function bytesOf({ dfs }: ClusterNode): Promise<number> {
  const told = await run('du', ['-s', '-B1', join(dfs.stateDir, 'data')]);
  return Number.parseInt(expectOk(told, 'du').stdout, 10);
}

async function inodesUsed({ dfs }: ClusterNode): Promise<number> {
  const lines = (await dfs.ok('df --output=iused .')).trim().split('\n');
  return Number(lines.at(-1));
}

test('files removed while open are given back, whoever was killed, and fsck is clean', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0), cluster.node(1)];
  await requireSound(cluster, 'new');
  const before = { bytes: await bytesOf(two), inodes: await inodesUsed(one) };
  // Their home is the second machine; the first one has half of them open, the second the others.
  await two.dfs.ok(
    `mkdir -p dir/sub && ln -s sub dir/link
     for i in $(seq ${FILES}); do head -c ${FILE_MIB}M /dev/urandom > dir/sub/$i; done; sync`,
  );
  const held: HeldFile[] = [];
  for (let file = 1; file <= FILES; file += 1) {
    const { mountpoint } = file % 2 === 0 ? one.dfs : two.dfs;
    held.push(await HeldFile.open(t, join(mountpoint, `dir/sub/${file}`), 'r'));
  }
  for (const each of held) await each.ok({ call: 'read', at: 0, length: 10 });
  await requireSound(cluster, 'open');
  await two.dfs.ok('rm -r dir');
  await requireSound(cluster, 'removed');
  assert.ok((await bytesOf(two)) > FILES * FILE_MIB * MIB, 'their bytes are there');

  await t.test('after kills of the metaserver and of both machines', async () => {
    await killRole(one, 'metaserver');
    await cluster.untilWhole('the metaserver is back', BACK_MS);
    await requireSound(cluster, 'after a kill of the metaserver');
    await killRole(two, 'node');
    await cluster.untilWhole('the home is back', BACK_MS);
    await requireSound(cluster, 'after a kill of the home');
    await killRole(one, 'node');
    await killRole(one, 'metaserver');
    await cluster.untilWhole('the first machine is back', BACK_MS);
    await requireSound(cluster, 'after a kill of the first machine');
  });

  await t.test('after the last close', async () => {
    for (const each of held) each.kill();
    const spent = async (): Promise<number> => (await bytesOf(two)) - before.bytes;
    await until('the bytes are gone', async () => (await spent()) < MIB, GONE_MS);
    await requireSound(cluster, 'after the last close');
    await until('statfs says so', async () => (await inodesUsed(one)) === before.inodes, GONE_MS);
    const { report } = await fsck(one);
    assert.deepEqual([report.namespace.inodes, report.namespace.openers], [1, 0]);
  });
});

test('what was damaged is found, and what belongs to no file', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  await dfs.ok('mkdir dir && echo text > dir/file && echo text > other; sync');
  expectOk(await dfs.cli(['fsck']), 'a sound one');

  await t.test('a backing file of no inode', async () => {
    const stray = join(dfs.stateDir, 'data/0f/42/1000000');
    await mkdir(dirname(stray), { recursive: true });
    await writeFile(stray, 'x'.repeat(100_000));
    const { code, stderr, stdout } = await dfs.cli(['fsck']);
    assert.equal(code, 1);
    assert.match(stdout, /nothing is wrong\nbacking .*3 files .* 1 of them for nothing/);
    assert.match(stdout, /1000000/);
    assert.match(stderr, /1 backing file on/);
    await rm(stray);
    expectOk(await dfs.cli(['fsck']), 'without it');
  });

  await t.test('an inode that is lost', async () => {
    const ino = Number(await dfs.ok('stat -c %i dir/file'));
    expectOk(await dfs.cli(['unmount', dfs.mountpoint]), 'unmount');
    expectOk(await dfs.cli(['stop']), 'stop');
    {
      await using kv = await LevelKv.open({ directory: join(dfs.stateDir, 'meta'), create: false });
      await kv.commit(new Map([[inodeKey(asIno(ino)), undefined]]), asEpoch(1_000));
    }
    await dfs.mount();
    const { code, stdout } = await dfs.cli(['fsck']);
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`missing-inode +inode ${ino}: it is not there \\("file" in`));
    const report = JSON.parse((await dfs.cli(['fsck', '--json'])).stdout) as FsckReport;
    assert.deepEqual(report.namespace.counts, { 'missing-inode': 1, 'wrong-counter': 1 });
  });

  await t.test('nothing can be said without a node', async () => {
    expectOk(await dfs.cli(['unmount', dfs.mountpoint]), 'unmount');
    expectOk(await dfs.cli(['stop']), 'stop');
    const { code, stderr, stdout } = await dfs.cli(['fsck', '--json']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /does not run/);
  });
});
