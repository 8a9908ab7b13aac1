/** Answers that a kernel drops, or takes although they are old: C17 and C18 of docs/PROTOCOL.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { deferred, delay } from '../../../src/common/lifecycle.ts';
import type { OpenResult } from '../../../src/mount/driver/driver.ts';
import { foundIn, VfsWorld } from '../../support/vfs-world.ts';

const CHANGE = { killSuidGid: false };

async function validMs(world: VfsWorld, ino: Ino): Promise<number> {
  return (await world.fs.getattr(world.context(), ino)).attrValidMs;
}

async function sizeToRead(world: VfsWorld, ino: Ino): Promise<number> {
  return (await world.fs.getattr(world.context(), ino, true)).attr.size;
}

test('a descriptor is told the end of a file that has grown once the kernel has it', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('file');
  await world.write(fh, 0, '12345');
  assert.equal((await world.fs.getattr(world.context(), ino)).attr.size, 5);
  assert.deepEqual(world.kernel.grown, [], 'stat(2) reads nothing');
  assert.equal(await sizeToRead(world, ino), 5);
  assert.equal(await sizeToRead(world, ino), 5);
  assert.deepEqual(world.kernel.grown, [5], 'once');
  await world.write(fh, 5, '6789');
  assert.equal(await sizeToRead(world, ino), 9);
  assert.deepEqual(world.kernel.grown, [5, 9]);
  await world.fs.setattr(world.context(), ino, { ...CHANGE, size: 2 });
  assert.equal(await sizeToRead(world, ino), 2);
  assert.deepEqual(world.kernel.grown, [5, 9], 'a size that shrinks cannot be told so');
  await world.write(fh, 2, '345');
  await sizeToRead(world, ino);
  assert.deepEqual(world.kernel.grown, [5, 9, 5]);
});

test('a descriptor waits for its kernel only so long', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('file');
  await world.write(fh, 0, '12345');
  world.kernel.grow = () => new Promise(() => undefined);
  assert.equal(await sizeToRead(world, ino), 5);
});

test('before a file is written to, the kernel forgets what it was told and may keep', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('file');
  await world.write(fh, 0, 'first');
  const { unsettled } = world.kernel;
  const before = unsettled.length;
  await world.write(fh, 5, 'second');
  assert.equal(await validMs(world, ino), 0, 'it is dirty');
  assert.equal(unsettled.length, before, 'it was told nothing since');
  await world.fs.flush(world.context(), fh);
  assert.ok((await validMs(world, ino)) > 0);
  const told: number[] = [];
  world.kernel.forgetAttributes = async (of) => {
    unsettled.push(of);
    told.push(await validMs(world, ino));
  };
  await Promise.all([world.write(fh, 0, 'third'), world.write(fh, 5, 'fourth')]);
  assert.deepEqual(unsettled.slice(before), [ino], 'once for both');
  assert.deepEqual(told, [0], 'and is told nothing to keep meanwhile');
  assert.equal(await world.read(fh), 'thirdfourth');
});

test('what answers a change may not be kept', async () => {
  const world = await VfsWorld.create();
  const node = { parent: ROOT_INO, name: 'file', mode: 0o100644, rdev: 0 };
  const created = await world.fs.create(world.context(), { ...node, flags: 2 });
  assert.equal(created.entry.attrValidMs, 0);
  const { ino } = created.entry.attr;
  assert.equal((await world.fs.mknod(world.context(), { ...node, name: 'n' })).attrValidMs, 0);
  const link = { ino, newParent: ROOT_INO, newName: 'link' };
  assert.equal((await world.fs.link(world.context(), link)).attrValidMs, 0);
  const chmod = { ...CHANGE, mode: 0o600 };
  assert.equal((await world.fs.setattr(world.context(), ino, chmod)).attrValidMs, 0);
  const found = foundIn(await world.fs.lookup(world.context(), ROOT_INO, 'link'));
  assert.ok(found.attrValidMs > 0);
});

test('pages read again while a write of them was on its way are forgotten', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, 'before');
  const { ranges } = world.kernel;
  await world.read(fh);
  await world.write(fh, 2, 'new');
  assert.deepEqual(ranges, [], 'the kernel had no reason to drop them');
  world.leases.files?.forget(ino);
  await world.write(fh, 2, 'NEW');
  assert.deepEqual(ranges, [], 'nobody has read them again');
  await world.read(fh);
  await world.write(fh, 3, 'w');
  assert.deepEqual(ranges, [[3, 1]]);
  world.clock.advance(2_000);
  await world.write(fh, 3, 'E');
  assert.equal(ranges.length, 1, 'no write is that late');
});

test('pages read again while the kernel still forgets others are forgotten too', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, 'before');
  const forgets = deferred<void>();
  const { forget } = world.kernel;
  world.kernel.forget = (of) => forgets.promise.then(() => forget.call(world.kernel, of));
  const lseq = BigInt(world.leases.lseqOf(ino));
  world.leases.recalled({ ino: BigInt(ino), lseq, keepShared: false });
  // Both are answered all the same: the kernel may wait for it (C9).
  await world.read(fh);
  await world.write(fh, 3, 'w');
  assert.deepEqual(world.kernel.ranges, [[3, 1]]);
  forgets.resolve();
});

test('what was appended is forgotten where it was read before', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, '12345');
  const appending = await world.open(ino, 0o2001);
  const { ranges } = world.kernel;
  await world.write(appending, 5, '67');
  assert.deepEqual(ranges, [], 'it is where the kernel thinks, and nobody reads');
  await world.write(appending, 5, '89');
  assert.deepEqual(ranges, [[7, 2]], 'it went elsewhere');
  assert.equal(await world.read(fh), '123456789');
  await world.write(appending, 9, 'a');
  await world.write(appending, 10, 'b');
  assert.deepEqual(ranges.slice(1), [[9, 1]], 'once for what was read');
});

test('nobody is told of a new end before the pages there are gone', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, '12345');
  const appending = await world.open(ino, 0o2001);
  await world.read(fh);
  let isGone = false;
  world.kernel.forgetRange = async () => {
    await delay(5);
    isGone = true;
  };
  const writing = world.write(appending, 5, '67');
  const { size } = (await world.fs.getattr(world.context(), ino)).attr;
  assert.deepEqual([size, isGone], [7, true]);
  await writing;
});

test('a file that programs here append to is opened for direct reads', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, '12345');
  const isDirect = async (): Promise<boolean> => {
    const opened = await world.fs.open(world.context(), ino, { flags: 0, killSuidGid: false });
    return opened.directIo;
  };
  assert.equal(await isDirect(), false);
  const appending = await world.open(ino, 0o2001);
  assert.equal(await isDirect(), false, 'nothing was appended yet');
  await world.write(appending, 5, '67');
  assert.equal(await isDirect(), true);
  world.clock.advance(20_000);
  assert.equal(await isDirect(), false);
});

test('a file that others call for again and again is opened past the pages of the kernel', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, '12345');
  const open = async (): Promise<OpenResult> =>
    world.fs.open(world.context(), ino, { flags: 2, killSuidGid: false });
  const { files } = world.leases;
  files?.dropping(ino);
  files?.dropping(ino);
  assert.equal((await open()).directIo, false, 'twice may be chance');
  files?.dropping(ino);
  const { directIo, fh: direct } = await open();
  assert.equal(directIo, true);
  await world.write(direct, 1, 'x');
  const { ranges } = world.kernel;
  assert.deepEqual(ranges, [], 'the kernel has read no page');
  await world.read(fh);
  await world.write(direct, 2, 'y');
  assert.deepEqual(ranges, [[2, 1]], 'it knows nothing of what goes past its pages');
  world.clock.advance(20_000);
  assert.equal((await open()).directIo, false, 'for a while nobody has');
});

test('a page is read once the kernel has heard that the file has grown', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  const { grown } = world.kernel;
  await world.write(fh, 0, '12345');
  await world.fs.getattr(world.context(), ino);
  await world.read(fh);
  assert.deepEqual(grown, [], 'it was told');
  await world.write(fh, 5, '6789');
  assert.equal(await world.read(fh), '123456789');
  assert.deepEqual(grown, [9]);
  await world.read(fh);
  assert.deepEqual(grown, [9], 'once');
});
