import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Fh, type Ino, ROOT_INO } from '../../../../src/common/ids.ts';
import { deferred } from '../../../../src/common/lifecycle.ts';
import type { EntryResult } from '../../../../src/mount/driver/driver.ts';
import { type TwoWorlds, turns, worldsFor } from '../../../support/two-worlds.ts';
import { foundIn } from '../../../support/vfs-world.ts';
import type { WorldNode } from '../../../support/world-node.ts';

async function lookup(node: WorldNode, name: string): Promise<EntryResult> {
  return foundIn(await node.fs.lookup(node.context(), ROOT_INO, name));
}

async function sizeOf(node: WorldNode, ino: Ino): Promise<number> {
  return (await node.fs.getattr(node.context(), ino)).attr.size;
}

/** As open(2) for reading does it. */
async function openToRead(node: WorldNode, name: string): Promise<{ fh: Fh; ino: Ino }> {
  const { ino } = (await lookup(node, name)).attr;
  const { fh } = await node.fs.open(node.context(), ino, { flags: 0, killSuidGid: false });
  return { fh, ino };
}

async function read(node: WorldNode, fh: Fh): Promise<string> {
  return (await node.read(fh, 0, 100)).toString('latin1');
}

/** What a mount asks the metaserver from now on, in order. */
function asked(worlds: TwoWorlds, name: string): string[] {
  const log: string[] = [];
  worlds.asking = (from, op) => {
    if (from === name) log.push(op.$case);
  };
  return log;
}

for (const [writer, reader] of [
  ['one', 'two'],
  ['two', 'one'],
] as const) {
  test(`what ${writer} writes, ${reader} reads at once, though nobody closed anything`, async (t) => {
    const worlds = await worldsFor(t);
    const [theirs, mine] = [worlds.node(writer), worlds.node(reader)];
    await worlds.one.put('file', 'before');
    const { fh: readable, ino } = await openToRead(mine, 'file');
    assert.equal(await read(mine, readable), 'before');
    const { fh } = await theirs.open('file');
    for (const text of ['after that', 'and once more']) {
      await theirs.write(fh, 0, text);
      assert.equal(await sizeOf(mine, ino), text.length);
      assert.equal(await read(mine, readable), text);
    }
    assert.deepEqual([...new Set(mine.kernel.forgotten)], [ino], 'its kernel had to forget it');
  });
}

test('readers of one file ask nobody any more, until somebody writes', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'base');
  const { fh, ino } = await openToRead(two, 'file');
  await read(two, fh);
  await openToRead(one, 'file');
  const log = asked(worlds, 'two');
  for (let round = 0; round < 3; round += 1) {
    const again = await openToRead(two, 'file');
    assert.equal(await read(two, again.fh), 'base');
    assert.equal(await sizeOf(two, ino), 4);
    await assert.rejects(lookup(two, 'none'), { code: 'ENOENT' });
  }
  assert.deepEqual(log, ['lookup'], 'for the absent name, once');
  const { fh: writable } = await one.open('file');
  await one.write(writable, 4, ' and more');
  assert.equal(await read(two, fh), 'base and more');
});

test('a name that is told to be absent is there once another has made it', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await assert.rejects(lookup(two, 'file'), { code: 'ENOENT' });
  const ino = await one.put('file', 'made');
  assert.equal((await lookup(two, 'file')).attr.ino, ino);
  assert.deepEqual(two.kernel.forgotten, [ROOT_INO]);
});

test('a name that another has moved or removed leads nowhere, and its successor is found', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('a', 'a');
  const other = await two.put('b', 'b');
  await lookup(two, 'a');
  await lookup(one, 'b');
  const move = { parent: ROOT_INO, name: 'a', newParent: ROOT_INO, newName: 'b', flags: 0 };
  await one.fs.rename(one.context(), move);
  await assert.rejects(lookup(two, 'a'), { code: 'ENOENT' });
  assert.equal((await lookup(two, 'b')).attr.ino, ino);
  const left = await two.fs.getattr(two.context(), other);
  assert.equal(left.attr.nlink, 0, 'whoever walked there before it fell');
  await two.unlink('b');
  await assert.rejects(lookup(one, 'b'), { code: 'ENOENT' });
});

for (const [writer, reader] of [
  ['one', 'two'],
  ['two', 'one'],
] as const) {
  test(`${reader} looks at what ${writer} writes, and takes nothing from it`, async (t) => {
    const worlds = await worldsFor(t);
    const [theirs, mine] = [worlds.node(writer), worlds.node(reader)];
    const ino = await worlds.one.put('file', 'base');
    const { fh } = await theirs.open('file');
    await theirs.write(fh, 4, ' and');
    const { length } = theirs.kernel.forgotten;
    const log = asked(worlds, writer);
    for (let end = 9; end < 12; end += 1) {
      await theirs.write(fh, end - 1, 'x');
      const { attr } = await lookup(mine, 'file');
      assert.equal(attr.size, end);
      const written = (await theirs.fs.getattr(theirs.context(), ino)).attr;
      assert.deepEqual([attr.mtime, await sizeOf(mine, ino)], [written.mtime, end]);
    }
    assert.deepEqual([...new Set(log)], ['glimpsed']);
    assert.equal(theirs.kernel.forgotten.length, length);
    await theirs.fsync(fh);
    assert.equal(await sizeOf(mine, ino), 11, 'nothing is unpublished: its lease is called back');
    assert.ok(log.includes('release'));
  });
}

test('attributes that another sets are seen at once, by whoever has the file open too', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.write(fh, 4, ' and more');
  await one.fs.setattr(one.context(), ino, { mode: 0o600, killSuidGid: false });
  const { attr } = await two.fs.getattr(two.context(), ino);
  assert.deepEqual([attr.mode & 0o777, attr.size], [0o600, 13]);
});

test('appends of two machines follow each other', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', '');
  const flags = 0o2001;
  const appends = async (node: WorldNode): Promise<void> => {
    await lookup(node, 'file');
    const { fh } = await node.fs.open(node.context(), ino, { flags, killSuidGid: false });
    await Promise.all(Array.from({ length: 10 }, () => node.write(fh, 0, node.name)));
  };
  await Promise.all([appends(one), appends(two)]);
  const { fh } = await openToRead(two, 'file');
  const text = await read(two, fh);
  assert.equal(text.length, 60);
  assert.equal(text.match(/one/g)?.length, 10);
  assert.equal(text.match(/two/g)?.length, 10);
});

test('what was written under a lost lease is kept aside, and told once', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.write(fh, 4, ' and more');
  two.vfs.evicted();
  await assert.rejects(two.fsync(fh), { code: 'EIO' });
  await two.fsync(fh);
  assert.equal(await read(two, fh), 'base');
  const { fh: readable } = await openToRead(one, 'file');
  assert.equal(await read(one, readable), 'base');
  const dir = join(worlds.dir, 'lost+found-two');
  const [kept = ''] = readdirSync(dir);
  assert.ok(kept.startsWith(`${ino}.`), kept);
  assert.equal(readFileSync(join(dir, kept), 'latin1'), '\0\0\0\0 and more');
});

test('bytes that are at their home already are published under a new lease', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'base');
  const { fh } = await one.open('file');
  await one.write(fh, 4, ' and more');
  one.vfs.evicted();
  await one.fsync(fh);
  const { fh: readable } = await openToRead(two, 'file');
  assert.equal(await read(two, readable), 'base and more');
});

test('bytes of before and after the loss of a lease reach another that asks for them', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'base');
  const { fh } = await one.open('file');
  await one.write(fh, 4, ' and');
  one.vfs.evicted();
  await one.write(fh, 8, ' more');
  let seen = 'nothing';
  const reading = (async (): Promise<void> => {
    const { fh: readable } = await openToRead(two, 'file');
    seen = await read(two, readable);
  })();
  await turns(200);
  assert.equal(seen, 'base and more');
  await reading;
});

test('a request that waits for a lease says so, and can be interrupted', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'base');
  const { fh: readable, ino } = await openToRead(two, 'file');
  const { fh } = await one.open('file');
  await one.write(fh, 4, ' and more');
  const held = deferred<void>();
  worlds.asking = (from, op) =>
    from === 'one' && op.$case === 'flushAttr' ? held.promise : undefined;
  const context = two.context();
  const reading = two.read(readable, 0, 100, context);
  await turns();
  assert.deepEqual(context.waitsFor, { lease: ino });
  context.interrupted = true;
  context.interrupt?.();
  await assert.rejects(reading, { code: 'EINTR' });
  assert.equal(context.waitsFor, undefined);
  held.resolve();
  assert.equal(await read(two, readable), 'base and more');
});

test('what is sent under a lease that a younger one of the same mount replaced is sent again', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'what is there before');
  const { fh } = await two.open('file');
  await two.write(fh, 0, 'WHAT');
  const held = deferred<void>();
  worlds.before = ({ kind }) => (kind === 'write' ? held.promise : undefined);
  const closed = two.shut(fh);
  await turns();
  const { before, now } = await two.leaseAnew(ino);
  assert.ok(now > before);
  const { fh: reader } = await openToRead(two, 'file');
  assert.equal(await read(two, reader), 'WHAT is there before');
  worlds.before = () => undefined;
  held.resolve();
  await closed;
  const { fh: other } = await openToRead(one, 'file');
  assert.equal(await read(one, other), 'WHAT is there before');
  assert.deepEqual(await two.keptFiles(), []);
});
