/** A write to a file of another machine is told when the disk there is full. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { BLOCK_BYTES, type Fh } from '../../../../src/common/ids.ts';
import { deferred } from '../../../../src/common/lifecycle.ts';
import { type TwoWorlds, turns, worldsFor } from '../../../support/two-worlds.ts';
import type { PeerCall } from '../../../support/world-client.ts';
import type { WorldNode } from '../../../support/world-node.ts';

const BLOCKS = 32;
const DISK = { capacityBytes: BLOCKS * BLOCK_BYTES };

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof FsError && error.code === code;
}

function block(node: WorldNode, fh: Fh, at: number): Promise<void> {
  return node.write(fh, at * BLOCK_BYTES, Buffer.alloc(BLOCK_BYTES, at + 1));
}

/** A file of `one` that `two` writes. */
async function ofOne(worlds: TwoWorlds, name = 'file'): Promise<Fh> {
  await worlds.one.put(name, '');
  return (await worlds.two.open(name)).fh;
}

/** @returns how many blocks were accepted before ENOSPC */
async function fill(node: WorldNode, fh: Fh, from = 0): Promise<number> {
  for (let at = from; at <= BLOCKS; at += 1) {
    try {
      await block(node, fh, at);
    } catch (error) {
      assert.ok(isError('ENOSPC')(error), String(error));
      return at - from;
    }
  }
  return assert.fail('the disk was never full');
}

/** Calls of a kind do not get there, until told. */
function hold(worlds: TwoWorlds, kind: PeerCall['kind']): () => void {
  const held = deferred<void>();
  worlds.before = (call) => (call.kind === kind ? held.promise : undefined);
  return () => held.resolve();
}

test('write says ENOSPC, close and fsync do not, and what was accepted is there', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { one, two } = worlds;
  const fh = await ofOne(worlds);
  assert.equal(await fill(two, fh), BLOCKS);
  await two.fsync(fh);
  await two.shut(fh);
  assert.equal(two.data.chargedBytes, 0);
  const seen = await one.get('file', BLOCKS * BLOCK_BYTES);
  for (let at = 0; at < BLOCKS; at += 1) assert.equal(seen[at * BLOCK_BYTES], at + 1);
});

test('overwriting works on a full disk, before anything is published too, and freed space is given', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { two } = worlds;
  const fh = await ofOne(worlds);
  await fill(two, fh);
  await block(two, fh, 3);
  await two.fsync(fh);
  await block(two, fh, 4);
  await two.shut(fh);
  await assert.rejects(
    async () => block(two, (await two.open('file')).fh, BLOCKS),
    isError('ENOSPC'),
  );
  const other = await ofOne(worlds, 'other');
  await assert.rejects(block(two, other, 0), isError('ENOSPC'));
  const { ino } = await two.open('file');
  await two.truncate(ino, 2 * BLOCK_BYTES);
  assert.equal(await fill(two, other), BLOCKS - 2);
  await two.shut(other);
});

test('many new files cost one Reserve', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  for (let at = 0; at < 50; at += 1) {
    const fh = await ofOne(worlds, `file${at}`);
    await two.write(fh, 0, Buffer.alloc(4096, 1));
    await two.shut(fh);
  }
  assert.equal(worlds.count('reserve'), 1);
});

test('a file that is written 4 KiB at a time costs few Reserves, on a small disk too', async (t) => {
  for (const [options, most] of [
    [{}, 4],
    [DISK, 50],
  ] as const) {
    const worlds = await worldsFor(t, options);
    const fh = await ofOne(worlds);
    const writes = options === DISK ? (BLOCKS * BLOCK_BYTES) / 4096 : 2048;
    for (let at = 0; at < writes; at += 1) {
      await worlds.two.write(fh, at * 4096, Buffer.alloc(4096, 1));
    }
    const asked = worlds.count('reserve');
    assert.ok(asked <= most, `${asked} Reserves for ${writes} writes`);
    await worlds.two.shut(fh);
  }
});

test('two machines that fill one disk are promised no more than there is', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { one, two } = worlds;
  const theirs = await ofOne(worlds);
  const { fh: own } = await one.create('own');
  let blocks = 0;
  for (const full = new Set<WorldNode>(); full.size < 2; ) {
    for (const [node, fh] of [
      [one, own],
      [two, theirs],
    ] as const) {
      if (full.has(node)) continue;
      try {
        await block(node, fh, blocks);
        blocks += 1;
      } catch (error) {
        assert.ok(isError('ENOSPC')(error), String(error));
        full.add(node);
      }
    }
  }
  // Holes are left between them: each wrote every other block.
  assert.equal(blocks, BLOCKS);
  await one.shut(own);
  await two.fsync(theirs);
  await two.shut(theirs);
});

test('a full disk is no error while what was sent is counted twice', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { two } = worlds;
  const first = await ofOne(worlds, 'first');
  const second = await ofOne(worlds, 'second');
  for (let at = 0; at < BLOCKS - 1; at += 1) await block(two, first, at);
  const arrived = deferred<void>();
  worlds.after = (call) => (call.kind === 'write' ? arrived.promise : undefined);
  const closing = two.shut(first);
  await turns();
  const filling = fill(two, second);
  await turns(200);
  worlds.after = () => undefined;
  arrived.resolve();
  assert.equal(await filling, 1);
  await closing;
  await two.shut(second);
  assert.equal(two.data.chargedBytes, 0);
});

test('a full disk is no error while what arrived, and was not answered, is counted twice', async (t) => {
  const worlds = await worldsFor(t, { ...DISK, waitMs: 100 });
  const { two } = worlds;
  const fh = await ofOne(worlds);
  for (let at = 0; at < BLOCKS / 2; at += 1) await block(two, fh, at);
  worlds.after = () => {
    throw new FsError('EHOSTUNREACH', 'the answer is lost');
  };
  await assert.rejects(two.fsync(fh), isError('EIO'));
  worlds.after = () => undefined;
  assert.equal(await fill(two, fh, BLOCKS / 2), BLOCKS / 2);
  await two.shut(fh);
  assert.equal(two.data.chargedBytes, 0);
});

test('a write that waits for space holds no lease', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const fh = await ofOne(worlds);
  const release = hold(worlds, 'reserve');
  const writing = block(two, fh, 0);
  await turns();
  await one.truncate((await one.open('file')).ino, 10);
  release();
  await writing;
  await two.shut(fh);
  assert.equal((await one.get('file', 10 * BLOCK_BYTES)).length, BLOCK_BYTES);
});

test('a write that waits for space can be interrupted, and the other writers go on', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  const [first, second] = [await ofOne(worlds, 'first'), await ofOne(worlds, 'second')];
  const release = hold(worlds, 'reserve');
  const context = two.context();
  const data = Buffer.from('data');
  const write = { fh: first, offset: 0, data, killSuidGid: false, mapped: false };
  const interrupted = Promise.resolve(two.fs.write(context, write));
  const other = two.write(second, 0, data);
  await turns();
  assert.equal(context.waitsFor, 'peer one');
  context.interrupted = true;
  context.interrupt?.();
  await assert.rejects(interrupted, isError('EINTR'));
  release();
  await other;
  await two.shut(second);
});

test('a write that shares the question of another file does not fail with that file', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const [first, second] = [await ofOne(worlds, 'first'), await ofOne(worlds, 'second')];
  const { ino } = await two.open('first');
  const refused = deferred<void>();
  worlds.before = ({ kind }) => (kind === 'reserve' ? refused.promise : undefined);
  worlds.asking = (_from, op) => {
    if (op.$case !== 'getattr' || op.value.ino !== BigInt(ino)) return;
    throw new FsError('ENOENT', 'it was removed');
  };
  const failing = assert.rejects(two.write(first, 0, 'data'), isError('ESTALE'));
  const other = two.write(second, 0, 'data');
  await turns();
  worlds.before = () => undefined;
  refused.reject(new FsError('ESTALE', 'another life of the home'));
  await failing;
  await other;
  await two.shut(second);
  assert.equal((await one.get('second')).toString(), 'data');
});

test('a machine that is evicted while it asks for space is told EIO, not ENOLCK', async (t) => {
  for (const during of ['reserve', 'write'] as const) {
    const worlds = await worldsFor(t, DISK);
    const { one, two } = worlds;
    const fh = await ofOne(worlds);
    for (let at = 0; at < BLOCKS; at += 1) await block(two, fh, at);
    const { sid, sepoch } = two.mountSession;
    worlds.before = ({ kind }) => (kind === during ? one.home.fence(sid, sepoch + 1) : undefined);
    await assert.rejects(block(two, fh, BLOCKS), isError('EIO'), during);
  }
});

test('growth waits for a home that is away, within the bound, and overwriting does not', async (t) => {
  const worlds = await worldsFor(t, { waitMs: 100 });
  const { one, two } = worlds;
  await one.put('file', 'base');
  const { fh } = await two.open('file');
  one.isAway = true;
  await two.write(fh, 0, 'BASE');
  await assert.rejects(two.write(fh, 2, 'longer'), isError('EIO'));
  one.isAway = false;
  await two.write(fh, 4, ' and more');
  one.isAway = true;
  await two.write(fh, 13, ' under the promise');
  one.isAway = false;
  await two.shut(fh);
  assert.equal((await one.get('file')).toString(), 'BASE and more under the promise');
});

test('a home that restarts is asked anew, for what it has not got too', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { two } = worlds;
  const fh = await ofOne(worlds);
  for (let at = 0; at < 20; at += 1) await block(two, fh, at);
  const one = await worlds.restart(worlds.one, () => true);
  const { fh: own } = await one.create('own');
  await block(two, fh, 20);
  assert.equal(await fill(one, own), Math.floor((BLOCKS - 21) * (7 / 8)));
  await two.shut(fh);
  assert.equal(two.data.chargedBytes, 0);
});

test('filling a hole takes nothing that was promised to another file', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { one, two } = worlds;
  const sparse = await one.create('sparse');
  await one.truncate(sparse.ino, BLOCKS * BLOCK_BYTES);
  await one.shut(sparse.fh);
  const fh = await ofOne(worlds);
  for (let at = 0; at < 20; at += 1) await block(two, fh, at);
  const { fh: own } = await one.create('own');
  await fill(one, own);
  const { fh: hole } = await two.open('sparse');
  await block(two, hole, 0);
  await assert.rejects(two.fsync(hole), isError('ENOSPC'));
  await two.fsync(fh);
  await two.shut(fh);
  const { ino } = await two.open('file');
  await two.truncate(ino, 0);
  await two.shut(hole);
});

test('a session that is fenced leaves no promise', async (t) => {
  const worlds = await worldsFor(t, DISK);
  const { one, two } = worlds;
  const fh = await ofOne(worlds);
  for (let at = 0; at < 20; at += 1) await block(two, fh, at);
  await one.home.fence(two.mountSession.sid, 1);
  assert.equal(await fill(one, (await one.create('own')).fh), BLOCKS);
});
