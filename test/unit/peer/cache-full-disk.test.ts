/**
 * The cache of a peer on a small tmpfs of its own, in a private mount namespace: this file runs
 * itself there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { ManualClock } from '../../../src/common/clock.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { Peer } from '../../../src/peer/node.ts';
import { context, groupView, ino } from '../../support/store-helpers.ts';
import { chunkVersions, content, fetched } from './cache-fixture.ts';

const MIB = 1024 ** 2;
const DISK_MIB = 64;
const INSIDE = 'DFS_TEST_CACHE_DISK';
const SEQS = [1, 2, 3, 4, 5, 6, 7, 8];

function put(peer: Peer, file: number): void {
  const run = { chunk: 0, blockFirst: 0, blockEnd: SEQS.length };
  peer.cache.put(ino(file), run, fetched(SEQS));
}

function has(peer: Peer, file: number): boolean {
  const target = Buffer.alloc(100);
  const found = peer.cache.read(ino(file), 0, target, chunkVersions(SEQS));
  if (found) assert.deepEqual(target, content(1).subarray(0, 100));
  return found;
}

const freeMib = (disk: string): number => {
  const { bavail, bsize } = statfsSync(disk);
  return (bavail * bsize) / MIB;
};

async function fillAndFree(disk: string): Promise<void> {
  await Peer.create(disk);
  const clock = new ManualClock();
  const shared = { stateDir: disk, clock, log: silentLogger };
  await using peer = await Peer.open({ ...shared, cacheBytes: 10 * DISK_MIB * MIB });
  peer.store.setGroups([groupView(1)]);
  for (let file = 5000; file < 5000 + 4 * DISK_MIB; file += 1) {
    put(peer, file);
    clock.advance(1_000);
  }
  assert.ok(freeMib(disk) > DISK_MIB * 0.08, `${freeMib(disk)} MiB are free`);
  assert.ok(peer.store.space().bytesCached > DISK_MIB * 0.7 * MIB);
  assert.ok(has(peer, 5000 + 4 * DISK_MIB - 1));

  const filler = join(disk, 'filler');
  await assert.rejects(writeFile(filler, Buffer.alloc(DISK_MIB * MIB, 1)));
  put(peer, 6000);
  put(peer, 6001);
  clock.advance(1_000);
  put(peer, 6002);
  assert.ok(freeMib(disk) > DISK_MIB * 0.08, `${freeMib(disk)} MiB are free again`);
  const data = Buffer.alloc(MIB, 7);
  await peer.store.commit(context(1), ino(7000), { kind: 'write', offset: 0, data });
  await rm(filler);
  clock.advance(1_000);
  put(peer, 6003);
  assert.ok(has(peer, 6003));
}

async function inNamespace(t: TestContext): Promise<void> {
  if (process.getuid?.() !== 0) {
    t.skip('needs root for a tmpfs of its own');
    return;
  }
  const disk = await mkdtemp(join(tmpdir(), 'dfs-cache-disk-'));
  t.after(() => rm(disk, { recursive: true, force: true }));
  const script = `mount -t tmpfs -o size=${DISK_MIB}m dfs-test "$0" && exec "$1" "$2"`;
  const args = ['-m', 'sh', '-c', script, disk, process.execPath, import.meta.filename];
  const env = { ...process.env, [INSIDE]: disk, NODE_TEST_CONTEXT: undefined };
  const { status, stdout, stderr } = spawnSync('unshare', args, { env, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
}

const disk = process.env[INSIDE];
if (disk === undefined) {
  it('the cache keeps a tenth of the disk free, and gives way when others fill it', inNamespace);
} else {
  await fillAndFree(disk);
}
