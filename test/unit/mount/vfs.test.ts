import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { type Deferred, deferred } from '../../../src/common/lifecycle.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';
import { VfsWorld } from '../../support/vfs-world.ts';

const O_APPEND_RW = 0o2002;

/** Holds the next operation of this kind back until the promise is resolved. */
function hold(world: VfsWorld, kind: string, when: 'before' | 'after'): Deferred<void> {
  const gate = deferred<void>();
  let held = false;
  world[when] = (op) => {
    if (held || op.$case !== kind) return;
    held = true;
    return gate.promise;
  };
  return gate;
}

/** Everything that can go on without outside help has gone on. */
function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

test('an unlinked open file keeps what is written to it after write-back', async () => {
  const world = await VfsWorld.create();
  const { fh } = await world.create('a');
  await world.unlink('a');
  await world.write(fh, 0, 'hello');
  await world.vfs.publishAll();
  assert.equal(await world.read(fh), 'hello');
});

test('a write during a publication stays dirty and is published next', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, '12345');
  const gate = hold(world, 'flushAttr', 'after');
  const publishing = world.vfs.publishAll();
  await quiet();
  await world.write(fh, 5, '67890');
  gate.resolve();
  await publishing;
  assert.equal(await world.published(ino), 5);
  assert.equal(await world.read(fh), '1234567890');
  await world.fs.flush(world.context(), fh);
  assert.equal(await world.published(ino), 10);
});

test('close reports a failed publication and the next one tries again', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, 'hello');
  world.before = (op) => {
    if (op.$case === 'flushAttr') throw new FsError('EIO', 'away');
  };
  await assert.rejects(async () => world.fs.flush(world.context(), fh), { code: 'EIO' });
  await world.fs.release(fh);
  assert.equal(world.vfs.openFiles, 0);
  assert.equal(await world.vfs.publishAll(), 1);
  world.before = () => undefined;
  assert.equal(await world.vfs.publishAll(), 0);
  assert.equal(await world.published(ino), 5);
  world.fs.forget(ino, 1);
  assert.equal(world.vfs.inodeCount, 0);
});

test('two closes of the same bytes share one publication and its failure', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  const other = await world.open(ino);
  await world.write(fh, 0, 'hello');
  const gate = hold(world, 'flushAttr', 'before');
  const first = world.fs.flush(world.context(), fh);
  const second = world.fs.flush(world.context(), other);
  gate.reject(new FsError('EIO', 'away'));
  const results = await Promise.allSettled([first, second]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(world.log.filter((kind) => kind === 'flushAttr').length, 0);
});

test('appends through several handles never share an offset while the store is slow', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { ino, fh } = await world.create('log', O_APPEND_RW);
  const other = await world.open(ino, O_APPEND_RW);
  const gate = deferred<void>();
  store.beforeCommit = () => gate.promise;
  const writes = [world.write(fh, 0, 'one,'), world.write(other, 0, 'two,')];
  gate.resolve();
  await Promise.all(writes);
  assert.equal(await world.read(fh), 'one,two,');
});

test('a write the store finishes late does not undo a truncation asked for after it', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { ino, fh } = await world.create('a');
  const gate = deferred<void>();
  store.beforeCommit = (record) => (record.kind === 'write' ? gate.promise : undefined);
  const writing = world.write(fh, 0, 'hello');
  await quiet();
  const cutting = world.truncate(ino, 0);
  await quiet();
  gate.resolve();
  await Promise.all([writing, cutting]);
  assert.equal(await world.read(fh), '');
  await world.fs.flush(world.context(), fh);
  assert.equal(await world.published(ino), 0);
});

test('bytes of a truncation that failed halfway do not come back', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, 'secret');
  store.beforeCommit = (record) =>
    record.kind === 'truncate' ? Promise.reject(new FsError('EIO', 'disk')) : undefined;
  await assert.rejects(world.truncate(ino, 0), { code: 'EIO' });
  await world.write(fh, 8, 'x');
  assert.equal(await world.read(fh), '\0\0\0\0\0\0\0\0x');
});

test('a cut is durable before a larger size is published, also when the inode was forgotten', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, 'secret');
  await world.fs.flush(world.context(), fh);
  await world.fs.release(fh);
  await world.truncate(ino, 1);
  world.fs.forget(ino, 1);
  store.log.length = 0;
  await world.lookup('a');
  await world.truncate(ino, 100);
  assert.ok(store.log.includes(`fsync ${ino}`), store.log.join());
});

test('write-back makes a cut durable and lets go of the inode', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, 'secret');
  await world.fs.release(fh);
  await world.truncate(ino, 1);
  world.fs.forget(ino, 1);
  assert.equal(world.vfs.inodeCount, 1);
  await world.vfs.publishAll();
  assert.equal(world.vfs.inodeCount, 0);
});

test('every fsync waits for the disk, also a second one and one after the inode was forgotten', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, 'hello');
  const gate = deferred<void>();
  store.beforeSync = () => gate.promise;
  const done: number[] = [];
  const syncs = [1, 2].map(async (which) => {
    await world.fs.fsync(world.context(), fh);
    done.push(which);
  });
  await quiet();
  assert.deepEqual(done, []);
  gate.resolve();
  await Promise.all(syncs);
  await world.fs.release(fh);
  world.fs.forget(ino, 1);
  assert.equal(world.vfs.inodeCount, 0);
  const again = await world.open(await world.lookup('a'));
  store.log.length = 0;
  await world.fs.fsync(world.context(), again);
  assert.deepEqual(store.log, [`fsync ${ino}`]);
});

test('a failed fsync is reported again until it succeeds', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { fh } = await world.create('a');
  await world.write(fh, 0, 'hello');
  store.beforeSync = () => Promise.reject(new FsError('EIO', 'disk'));
  for (let round = 0; round < 2; round++) {
    await assert.rejects(async () => world.fs.fsync(world.context(), fh), { code: 'EIO' });
  }
});

test('rename over a file syncs its source, also when this mount has forgotten writing it', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const source = await world.create('new');
  const target = await world.create('old');
  await world.write(source.fh, 0, 'hello');
  await world.fs.release(source.fh);
  await world.fs.release(target.fh);
  world.fs.forget(source.ino, 1);
  await world.lookup('new');
  await world.lookup('old');
  store.log.length = 0;
  world.log.length = 0;
  store.beforeSync = () => {
    assert.ok(!world.log.includes('rename'));
  };
  await world.rename('new', 'old');
  assert.deepEqual(store.log, [`fsync ${source.ino}`]);
});

test('an open that meets a removal under way finds the file gone', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  await world.fs.release(fh);
  const gate = hold(world, 'remove', 'after');
  const removing = world.unlink('a');
  const opening = world.open(ino);
  await quiet();
  gate.resolve();
  await removing;
  await assert.rejects(opening, { code: 'ESTALE' });
  assert.equal(world.vfs.openFiles, 0);
});

test('an open waits for all removals of the inode, not only the last one', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  await world.fs.release(fh);
  const gate = hold(world, 'remove', 'after');
  const first = world.unlink('a');
  const second = world.unlink('a');
  await assert.rejects(second, { code: 'ENOENT' });
  const opening = world.open(ino);
  await quiet();
  gate.resolve();
  await first;
  await assert.rejects(opening, { code: 'ESTALE' });
});

test('a file opened before its removal lives until its last close', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  const other = await world.open(ino);
  await world.unlink('a');
  await world.fs.release(fh);
  assert.equal((await world.leftovers()).openers, 1);
  await world.write(other, 0, 'still');
  assert.equal(await world.read(other), 'still');
  await world.fs.release(other);
  await world.vfs.settle();
  assert.deepEqual(await world.cleaned(), { openers: 0, reclaim: 0, inodes: 1 });
  world.fs.forget(ino, 1);
  assert.equal(world.vfs.inodeCount, 0);
});

test('closing an unlinked file is told to the metaserver until it answers', async () => {
  const world = await VfsWorld.create();
  const { fh } = await world.create('a');
  await world.unlink('a');
  world.before = (op) => {
    if (op.$case === 'closeUnlinked') throw new FsError('EIO', 'away');
  };
  await world.fs.release(fh);
  await world.vfs.settle();
  assert.equal(world.vfs.unlinkedPending, 1);
  world.before = () => undefined;
  await world.vfs.publishAll();
  await world.vfs.settle();
  assert.equal(world.vfs.unlinkedPending, 0);
  assert.equal((await world.leftovers()).openers, 0);
});

test('the last close of what the metaserver was told to be open is told too', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  assert.deepEqual(world.vfs.tellOpen(), [ino]);
  await world.fs.release(fh);
  await world.vfs.settle();
  assert.equal(world.log.filter((kind) => kind === 'closeUnlinked').length, 1);
  assert.deepEqual(world.vfs.tellOpen(), []);
});
