/**
 * A store on a small tmpfs of its own, in a private mount namespace: this file runs itself there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { ManualClock } from '../../../src/common/clock.ts';
import { FsError } from '../../../src/common/errno.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { Peer } from '../../../src/peer/node.ts';
import { context, groupView, ino, read } from '../../support/store-helpers.ts';

const MIB = 1024 ** 2;
const DISK_MIB = 64;
const INSIDE = 'DFS_TEST_SMALL_DISK';

const isNoSpace = (error: unknown) => error instanceof FsError && error.code === 'ENOSPC';

function write(peer: Peer, file: number, offset: number): void | Promise<void> {
  const data = Buffer.alloc(MIB, file % 250);
  return peer.store.commit(context(1), ino(file), { kind: 'write', offset, data });
}

/** @returns how many MiB the disk took */
async function fill(peer: Peer, file: number): Promise<number> {
  for (let done = 0; done < 2 * DISK_MIB; done += 1) {
    try {
      await write(peer, file, done * MIB);
    } catch (error) {
      assert.ok(isNoSpace(error), String(error));
      return done;
    }
  }
  return assert.fail('the disk was never full');
}

async function fillAndFree(disk: string): Promise<void> {
  await Peer.create(disk);
  const clock = new ManualClock();
  await using peer = await Peer.open({ stateDir: disk, clock, log: silentLogger });
  peer.store.setGroups([groupView(1)]);
  const [big, small] = [5000, 5001];
  await write(peer, small, 0);
  const took = await fill(peer, big);
  assert.ok(took > DISK_MIB * 0.85 && took < DISK_MIB * 0.95, `the disk took ${took} MiB`);
  assert.equal(peer.status().problems.at(0)?.code, 'disk-full');
  assert.equal(await peer.store.blocks(ino(big)), (took * MIB) / 512);
  await write(peer, big, 0);
  const last = await read(peer.store, ino(big), [took * MIB - 1, 2]);
  assert.deepEqual([...last], [big % 250, 0]);

  await peer.store.commit(context(1), ino(big), { kind: 'truncate', size: 10 * MIB });
  await write(peer, small, MIB);
  assert.ok((await fill(peer, big)) >= took - 2);
  await peer.store.remove([ino(big)]);
  assert.deepEqual(peer.status().problems, []);
  await write(peer, small, 2 * MIB);

  const others = join(disk, 'filler');
  await assert.rejects(writeFile(others, Buffer.alloc(DISK_MIB * MIB, 1)));
  await assert.rejects(async () => write(peer, small, 3 * MIB), isNoSpace);
  clock.advance(100);
  await assert.rejects(async () => write(peer, small, 3 * MIB), isNoSpace);
  assert.deepEqual(await read(peer.store, ino(small), [3 * MIB, 4]), Buffer.alloc(4));
  await peer.store.fsync(ino(small));
  await peer.store.remove([ino(small)]);
  await rm(others);
  await write(peer, 5002, 0);
}

async function inNamespace(t: TestContext): Promise<void> {
  if (process.getuid?.() !== 0) {
    t.skip('needs root for a tmpfs of its own');
    return;
  }
  const disk = await mkdtemp(join(tmpdir(), 'dfs-disk-'));
  t.after(() => rm(disk, { recursive: true, force: true }));
  const script = `mount -t tmpfs -o size=${DISK_MIB}m dfs-test "$0" && exec "$1" "$2"`;
  const args = ['-m', 'sh', '-c', script, disk, process.execPath, import.meta.filename];
  const env = { ...process.env, [INSIDE]: disk, NODE_TEST_CONTEXT: undefined };
  const { status, stdout, stderr } = spawnSync('unshare', args, { env, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
}

const disk = process.env[INSIDE];
if (disk === undefined) {
  it(
    'a full disk refuses writes before they begin, and takes them again once there is space',
    inNamespace,
  );
} else {
  await fillAndFree(disk);
}
