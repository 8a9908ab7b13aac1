import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { CHUNK_BYTES, type Fh, type Ino, ROOT_INO } from '../../../../src/common/ids.ts';
import { deferred } from '../../../../src/common/lifecycle.ts';
import type { RequestContext } from '../../../../src/mount/driver/driver.ts';
import { type TwoWorlds, turns, worldsFor } from '../../../support/two-worlds.ts';
import { cutUnheld, unlinkUnheld } from '../../../support/unheld.ts';
import { foundIn } from '../../../support/vfs-world.ts';
import type { PeerCall } from '../../../support/world-client.ts';
import type { WorldNode } from '../../../support/world-node.ts';

/** As the driver does it when the kernel says so. */
function interrupt(context: RequestContext): void {
  context.interrupted = true;
  context.interrupt?.();
}

/** Calls to peers do not get there, until told. */
function holdCalls(worlds: TwoWorlds, which: (call: PeerCall) => boolean = () => true): () => void {
  const held = deferred<void>();
  worlds.before = (call) => (which(call) ? held.promise : undefined);
  return () => held.resolve();
}

async function writingTo(
  worlds: TwoWorlds,
  node: WorldNode,
): Promise<{ readonly fh: Fh; readonly ino: Ino }> {
  const ino = await worlds.one.put('file', 'base');
  const { fh } = await node.open('file');
  await node.write(fh, 4, ' and more');
  return { fh, ino };
}

async function writing(worlds: TwoWorlds, node: WorldNode): Promise<Fh> {
  return (await writingTo(worlds, node)).fh;
}

function isError(code: string, sentence: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FsError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, sentence);
    return true;
  };
}

test('a read that waits for a peer says so, and can be interrupted', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', 'base');
  const { fh } = await worlds.two.open('file');
  const release = holdCalls(worlds);
  const context = worlds.two.context();
  const reading = worlds.two.read(fh, 0, 10, context);
  await turns();
  assert.equal(context.waitsFor, 'peer one');
  interrupt(context);
  await assert.rejects(reading, isError('EINTR', /interrupted/));
  assert.equal(context.waitsFor, undefined);
  release();
  assert.equal((await worlds.two.read(fh, 0, 10)).toString(), 'base');
});

test('a read that was interrupted before it waits is given up at once', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', 'base');
  const { fh } = await worlds.two.open('file');
  t.after(holdCalls(worlds));
  const context = worlds.two.context();
  interrupt(context);
  await assert.rejects(worlds.two.read(fh, 0, 10, context), isError('EINTR', /interrupted/));
});

test('a read of two chunks can be interrupted when one of them is here already', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', Buffer.alloc(CHUNK_BYTES + 100, 7));
  const { fh } = await worlds.two.open('file');
  const release = holdCalls(worlds, ({ kind, number }) => kind === 'read' && number % 2 === 0);
  t.after(release);
  const context = worlds.two.context();
  const reading = worlds.two.read(fh, CHUNK_BYTES - 10, 20, context);
  await turns();
  assert.equal(worlds.count('read'), 2);
  assert.equal(context.waitsFor, 'peer one');
  interrupt(context);
  await assert.rejects(reading, isError('EINTR', /interrupted/));
});

test('a close that waits for a peer can be interrupted, and loses nothing', async (t) => {
  const worlds = await worldsFor(t);
  const fh = await writing(worlds, worlds.two);
  const release = holdCalls(worlds);
  const context = worlds.two.context();
  const closing = Promise.resolve(worlds.two.fs.flush(context, fh));
  await turns();
  assert.equal(context.waitsFor, 'peer one');
  interrupt(context);
  await assert.rejects(closing, isError('EINTR', /interrupted/));
  release();
  await worlds.two.fs.release(fh);
  assert.equal((await worlds.one.get('file')).toString(), 'base and more');
});

test('a close that was interrupted before it waits is given up at once', async (t) => {
  const worlds = await worldsFor(t);
  const fh = await writing(worlds, worlds.two);
  const release = holdCalls(worlds);
  const context = worlds.two.context();
  interrupt(context);
  const closing = async (): Promise<void> => worlds.two.fs.flush(context, fh);
  await assert.rejects(closing, isError('EINTR', /interrupted/));
  release();
  await worlds.two.fs.release(fh);
  assert.equal((await worlds.one.get('file')).toString(), 'base and more');
});

test('a close that shares the publication of another can be interrupted', async (t) => {
  const worlds = await worldsFor(t);
  const fh = await writing(worlds, worlds.two);
  const release = holdCalls(worlds);
  const first = Promise.resolve(worlds.two.fs.flush(worlds.two.context(), fh));
  const context = worlds.two.context();
  const second = Promise.resolve(worlds.two.fs.flush(context, fh));
  await turns();
  interrupt(context);
  await assert.rejects(second, isError('EINTR', /interrupted/));
  release();
  await first;
});

test('who shares a publication that is interrupted is not told EINTR', async (t) => {
  const worlds = await worldsFor(t);
  const fh = await writing(worlds, worlds.two);
  const release = holdCalls(worlds);
  const context = worlds.two.context();
  const first = Promise.resolve(worlds.two.fs.flush(context, fh));
  const second = Promise.resolve(worlds.two.fs.flush(worlds.two.context(), fh));
  await turns();
  interrupt(context);
  await assert.rejects(first, isError('EINTR', /interrupted/));
  release();
  await second;
  assert.equal((await worlds.one.get('file')).toString(), 'base and more');
});

for (const [what, act] of [
  ['a read', (node: WorldNode, fh: Fh) => node.read(fh, 0, 4)],
  ['a close', (node: WorldNode, fh: Fh) => node.fs.flush(node.context(), fh)],
  ['an fsync', (node: WorldNode, fh: Fh) => node.fsync(fh)],
] as const) {
  test(`${what} past its bound is EIO, and names the peer that was not reached`, async (t) => {
    const worlds = await worldsFor(t, { waitMs: 100 });
    const fh = await writing(worlds, worlds.two);
    worlds.one.isAway = true;
    const expected = isError('EIO', /only copy of ino \d+ is on one: not reached for 0 s/);
    await assert.rejects(async () => act(worlds.two, fh), expected);
    worlds.one.isAway = false;
    await worlds.two.shut(fh);
    assert.equal((await worlds.one.get('file')).toString(), 'base and more');
  });

  test(`${what} past its bound is EIO, though the peer holds the call`, async (t) => {
    const worlds = await worldsFor(t, { waitMs: 100 });
    const fh = await writing(worlds, worlds.two);
    t.after(holdCalls(worlds));
    await assert.rejects(async () => act(worlds.two, fh), isError('EIO', /is on one/));
  });
}

test('a peer that is known to be down is said to be, and since when', async (t) => {
  const worlds = await worldsFor(t, { waitMs: 100 });
  const fh = await writing(worlds, worlds.two);
  await worlds.stop(worlds.one);
  const expected = isError('EIO', /is on one, down since 20\d\d-.*Z: not reached/);
  await assert.rejects(worlds.two.read(fh, 0, 4), expected);
});

test('the bound holds while the metaserver is asked again', async (t) => {
  const worlds = await worldsFor(t, { waitMs: 100 });
  const ino = await worlds.one.put('file', 'base');
  const { fh } = await worlds.two.open('file');
  await cutUnheld(worlds, ino, 2);
  await worlds.one.home.settle(ino, 1);
  const held = deferred<void>();
  t.after(() => held.resolve());
  worlds.asking = (from, op) =>
    from === 'two' && op.$case === 'getattr' ? held.promise : undefined;
  await assert.rejects(worlds.two.read(fh, 0, 4), isError('EIO', /metaserver did not answer/));
});

test('a home that was away for a whole bound is waited for shortly, until it answers', async (t) => {
  const worlds = await worldsFor(t, { waitMs: 4_000 });
  const fh = await writing(worlds, worlds.two);
  worlds.one.isAway = true;
  const timed = async (): Promise<number> => {
    const start = performance.now();
    await assert.rejects(async () => worlds.two.fsync(fh), isError('EIO', /not reached for \d s/));
    return performance.now() - start;
  };
  assert.ok((await timed()) >= 3_900);
  const second = await timed();
  assert.ok(second >= 1_900 && second < 3_500, `${second} ms`);
  worlds.one.isAway = false;
  await worlds.two.fsync(fh);
  worlds.one.isAway = true;
  await worlds.two.write(fh, 0, 'more');
  assert.ok((await timed()) >= 3_900, 'it has its full bound again');
  worlds.one.isAway = false;
  await worlds.two.shut(fh);
});

test('a home that restarts within the bound is a pause', async (t) => {
  const worlds = await worldsFor(t);
  const fh = await writing(worlds, worlds.two);
  const closing = Promise.resolve(worlds.two.fs.flush(worlds.two.context(), fh));
  await worlds.restart(worlds.one, () => true);
  await closing;
  assert.equal((await worlds.one.get('file')).toString(), 'base and more');
});

test('a file that is removed elsewhere while it is open goes on until the last close', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const fh = await writing(worlds, two);
  const inodes = (): number => worlds.engine.status().inodes;
  const before = inodes();
  await one.unlink('file');
  assert.equal((await two.read(fh, 0, 100)).toString(), 'base and more');
  await two.write(fh, 13, '!');
  await two.fsync(fh);
  assert.equal((await two.read(fh, 0, 100)).toString(), 'base and more!');
  await assert.rejects(one.open('file'), isError('ENOENT', /./));
  assert.equal(inodes(), before);
  await two.shut(fh);
  await worlds.reclaimed();
  assert.equal(inodes(), before - 1);
  assert.deepEqual(await two.keptFiles(), []);
});

test('a file that lost its last name is not opened any more, also while others have it open', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const { fh, ino } = await writingTo(worlds, one);
  // The kernel has walked the path, and asks for the lease of the file when the name has gone.
  foundIn(await two.fs.lookup(two.context(), ROOT_INO, 'file'));
  const inodes = (): number => worlds.engine.status().inodes;
  const before = inodes();
  await one.unlink('file');
  const options = { flags: 0, killSuidGid: false };
  await assert.rejects(
    async () => two.fs.open(two.context(), ino, options),
    isError('ESTALE', /was removed/),
  );
  assert.equal((await one.read(fh, 0, 100)).toString(), 'base and more');
  // Who has it open opens it once more, as through /proc.
  await one.shut((await one.fs.open(one.context(), ino, options)).fh);
  assert.equal((await one.read(fh, 0, 100)).toString(), 'base and more');
  await one.shut(fh);
  await worlds.reclaimed();
  assert.equal(inodes(), before - 1);
});

test('a reader of a file that was removed without its lease is told ESTALE', async (t) => {
  const worlds = await worldsFor(t);
  const ino = await worlds.one.put('file', 'base');
  const { fh } = await worlds.two.open('file');
  await unlinkUnheld(worlds, 'file', ino);
  await worlds.reclaimed();
  await assert.rejects(worlds.two.read(fh, 0, 4), isError('ESTALE', /was removed/));
  await worlds.two.fs.release(fh);
});

test('a writer of a file that was removed without its lease is told once, and nothing is left', async (t) => {
  const worlds = await worldsFor(t);
  const { fh, ino } = await writingTo(worlds, worlds.two);
  await unlinkUnheld(worlds, 'file', ino);
  await worlds.reclaimed();
  await assert.rejects(
    async () => worlds.two.fs.flush(worlds.two.context(), fh),
    isError('ESTALE', /was removed/),
  );
  await worlds.two.shut(fh);
  assert.deepEqual(await worlds.two.keptFiles(), []);
  await assert.rejects(worlds.one.open('file'), isError('ENOENT', /./));
});

test('a writer of a file whose name is just gone, without its lease, is told ENOENT', async (t) => {
  const worlds = await worldsFor(t);
  const { fh, ino } = await writingTo(worlds, worlds.two);
  await unlinkUnheld(worlds, 'file', ino);
  await assert.rejects(
    async () => worlds.two.fs.flush(worlds.two.context(), fh),
    isError('ENOENT', /does not exist/),
  );
  await worlds.two.shut(fh);
  assert.deepEqual(await worlds.two.keptFiles(), []);
});

test('a file that its own mount removed while it was open goes on until the last close', async (t) => {
  const worlds = await worldsFor(t);
  const fh = await writing(worlds, worlds.two);
  await worlds.two.unlink('file');
  await worlds.settle();
  await worlds.two.fsync(fh);
  await worlds.two.write(fh, 13, '!');
  assert.equal((await worlds.two.read(fh, 0, 100)).toString(), 'base and more!');
  await worlds.two.shut(fh);
  await worlds.settle();
  assert.deepEqual(await worlds.two.keptFiles(), []);
});

test('nothing is left of an unlinked file whose home is away at the last close', async (t) => {
  const worlds = await worldsFor(t, { waitMs: 100 });
  const fh = await writing(worlds, worlds.two);
  await worlds.two.unlink('file');
  worlds.one.isAway = true;
  await worlds.two.fs.release(fh);
  assert.equal(await worlds.two.vfs.publishAll(), 0);
  assert.deepEqual(await worlds.two.keptFiles(), []);
});

test('nothing is left in the cache of a file that was read and unlinked', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  const ino = await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.read(fh, 0, 4);
  assert.ok(two.cache.held(ino, 0));
  await two.fs.release(fh);
  await two.unlink('file');
  two.fs.forget(ino, 10);
  assert.equal(two.cache.held(ino, 0), undefined);
});

test('nothing is left of a closed file that is unlinked before its home comes back', async (t) => {
  const worlds = await worldsFor(t, { waitMs: 100 });
  const { two } = worlds;
  const fh = await writing(worlds, two);
  worlds.one.isAway = true;
  await two.fs.release(fh);
  const { attr } = foundIn(await two.fs.lookup(two.context(), ROOT_INO, 'file'));
  await two.unlink('file');
  two.fs.forget(attr.ino, 10);
  assert.equal(two.vfs.inodeCount, 0);
  assert.deepEqual(await two.keptFiles(), []);
});

test('nothing is left of a file that turns out to be gone while it is sent', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  const { fh, ino } = await writingTo(worlds, two);
  const release = holdCalls(worlds, ({ kind }) => kind === 'write');
  const syncing = two.fsync(fh);
  await turns();
  await unlinkUnheld(worlds, 'file', ino);
  await worlds.reclaimed();
  await assert.rejects(two.read(fh, 0, 4), isError('ESTALE', /was removed/));
  await two.shut(fh);
  await turns(200);
  release();
  await assert.rejects(syncing, isError('ESTALE', /was removed/));
  assert.deepEqual(await two.keptFiles(), []);
});
