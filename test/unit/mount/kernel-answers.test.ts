/** Answers that a kernel drops, or takes although they are old: C17 and C18 of docs/PROTOCOL.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
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

test('pages read again while a write of them waited are forgotten before it is answered', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, 'before');
  await world.fs.flush(world.context(), fh);
  await validMs(world, ino);
  const { ranges } = world.kernel;
  const gate = deferred<void>();
  world.kernel.forgetAttributes = () => gate.promise;
  const writing = world.write(fh, 2, 'new');
  assert.equal(await world.read(fh), 'before');
  gate.resolve();
  await writing;
  assert.deepEqual(ranges, [[2, 3]]);
  assert.equal(await world.read(fh), 'benewe');
  await world.write(fh, 0, 'x');
  assert.equal(ranges.length, 1, 'no read came in between');
});

test('what was appended elsewhere than the kernel thinks is forgotten there', async () => {
  const world = await VfsWorld.create();
  const { fh, ino } = await world.create('file');
  await world.write(fh, 0, '12345');
  const appending = await world.open(ino, 0o2001);
  await world.write(appending, 5, '67');
  assert.deepEqual(world.kernel.ranges, [], 'it is where it thinks');
  await world.write(appending, 5, '89');
  assert.deepEqual(world.kernel.ranges, [[7, 2]]);
  assert.equal(await world.read(fh), '123456789');
});
