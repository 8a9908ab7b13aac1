import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES } from '../../../../src/common/ids.ts';
import { type Deferred, deferred } from '../../../../src/common/lifecycle.ts';
import { type TwoWorlds, turns, worldsFor } from '../../../support/two-worlds.ts';
import type { PeerCall } from '../../../support/world-client.ts';

/** Holds the next call of a kind, or the one after so many, when the home has done it, until told. */
function holdAfter(worlds: TwoWorlds, kind: PeerCall['kind'], skip = 0): Deferred<void> {
  const held = deferred<void>();
  const seen = new Set<number>();
  worlds.after = (call) => {
    if (call.kind !== kind || seen.has(call.number)) return undefined;
    seen.add(call.number);
    return seen.size === skip + 1 ? held.promise : undefined;
  };
  return held;
}

for (const [writer, reader] of [
  ['one', 'two'],
  ['two', 'one'],
] as const) {
  for (const home of [writer, reader]) {
    test(`what ${writer} closed, ${reader} opens: the home is ${home}`, async (t) => {
      const worlds = await worldsFor(t);
      await worlds.node(home).put('file', 'before');
      assert.equal((await worlds.node(reader).get('file')).toString(), 'before');
      const { fh } = await worlds.node(writer).open('file');
      await worlds.node(writer).write(fh, 3, 'after that');
      await worlds.node(writer).shut(fh);
      assert.equal((await worlds.node(reader).get('file')).toString(), 'befafter that');
      assert.equal((await worlds.node(writer).get('file')).toString(), 'befafter that');
    });
  }
}

test('two writers of different ranges both survive, in one block and across the end', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', '.'.repeat(10));
  const first = await one.open('file');
  const second = await two.open('file');
  await two.write(second.fh, 2, 'BB');
  await one.write(first.fh, 6, 'AAAAAA');
  await two.write(second.fh, 14, 'BB');
  await two.shut(second.fh);
  await one.shut(first.fh);
  const expected = '..BB..AAAAAA\0\0BB';
  assert.equal((await one.get('file')).toString('latin1'), expected);
  assert.equal((await two.get('file')).toString('latin1'), expected);
});

test('a writer reads what it wrote before anybody is sent it, and what lies around it', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'x'.repeat(BLOCK_BYTES * 2));
  const { fh } = await two.open('file');
  await two.write(fh, BLOCK_BYTES - 2, 'mine');
  await two.write(fh, BLOCK_BYTES * 2 + 3, 'end');
  assert.equal((await two.read(fh, BLOCK_BYTES - 4, 8)).toString(), 'xxminexx');
  const tail = await two.read(fh, BLOCK_BYTES * 2 - 2, 100);
  assert.equal(tail.toString('latin1'), 'xx\0\0\0end');
  assert.equal(worlds.count('write'), 0);
  await two.shut(fh);
  assert.equal((await one.get('file', BLOCK_BYTES * 3)).subarray(-5).toString('latin1'), '\0\0end');
});

test('an unchanged file is read again without asking its home', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', Buffer.alloc(CHUNK_BYTES + 3 * BLOCK_BYTES, 7));
  const { fh } = await two.open('file');
  for (let offset = 0; offset < CHUNK_BYTES + 3 * BLOCK_BYTES; offset += 1_000_000) {
    await two.read(fh, offset, 1_000_000);
  }
  await two.shut(fh);
  await worlds.settle();
  const asked = worlds.calls.length;
  const again = await two.get('file', CHUNK_BYTES + 3 * BLOCK_BYTES);
  assert.ok(again.every((byte) => byte === 7));
  assert.equal(worlds.calls.length, asked);
});

test('after its own publication a writer asks only for the block it wrote', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', Buffer.alloc(4 * BLOCK_BYTES, 7));
  await two.get('file', 4 * BLOCK_BYTES);
  const { fh } = await two.open('file');
  await two.write(fh, BLOCK_BYTES + 5, 'mine');
  await two.fsync(fh);
  await worlds.settle();
  const asked = worlds.calls.length;
  assert.equal((await two.read(fh, 2 * BLOCK_BYTES, 3)).toString(), '\x07\x07\x07');
  assert.equal(worlds.count('read', asked), 0);
  assert.equal((await two.read(fh, BLOCK_BYTES + 4, 5)).toString(), '\x07mine');
  assert.equal(worlds.count('read', asked), 1);
});

test('what was known does not outlive the publication of another writer', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', Buffer.alloc(4 * BLOCK_BYTES, 7));
  await two.get('file', 4 * BLOCK_BYTES);
  const mine = await two.open('file');
  const theirs = await one.open('file');
  await one.write(theirs.fh, 0, 'theirs');
  await two.write(mine.fh, 3 * BLOCK_BYTES, 'mine');
  await one.shut(theirs.fh);
  await two.shut(mine.fh);
  assert.equal((await two.get('file', 6)).toString(), 'theirs');
});

test('a write waits for a read of another that is under way', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'old old old');
  const held = holdAfter(worlds, 'read');
  const early = await two.open('file');
  const reading = two.read(early.fh, 0, 100);
  await turns();
  let isOpen = false;
  const opening = one.open('file').finally(() => {
    isOpen = true;
  });
  await turns();
  assert.equal(isOpen, false);
  held.resolve();
  assert.equal((await reading).toString(), 'old old old');
  await one.write((await opening).fh, 0, 'new');
  assert.equal((await two.read(early.fh, 0, 100)).toString(), 'new old old');
});

test('a read after open does not join a transfer that began before the other closed', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', Buffer.concat([Buffer.alloc(CHUNK_BYTES), Buffer.from('old old old')]));
  // What is read ahead is nobody's request: no lease is kept for it.
  const ahead = holdAfter(worlds, 'read', 1);
  const early = await two.open('file');
  await two.read(early.fh, 0, 100);
  await turns();
  const writer = await one.open('file');
  await one.write(writer.fh, CHUNK_BYTES, 'new new new');
  await one.shut(writer.fh);
  const late = await two.open('file');
  const asked = worlds.calls.length;
  const later = two.read(late.fh, CHUNK_BYTES, 100);
  await turns();
  ahead.resolve();
  assert.equal((await later).toString(), 'new new new');
  assert.equal(worlds.count('read', asked), 1);
});

test('a writer sees its published bytes though a transfer from before is under way', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'old old old');
  const held = holdAfter(worlds, 'read');
  const { fh } = await two.open('file');
  const earlier = two.read(fh, 0, 100);
  await turns();
  await two.write(fh, 0, 'new');
  await two.fsync(fh);
  const later = two.read(fh, 0, 100);
  await turns();
  held.resolve();
  assert.equal((await later).toString(), 'new old old');
  await earlier;
  assert.equal((await two.get('file')).toString(), 'new old old');
});

test('blocks that vanish from the cache are fetched again', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', Buffer.alloc(3 * BLOCK_BYTES, 7));
  await two.get('file', 3 * BLOCK_BYTES);
  let lost = 0;
  two.cache.loses = () => {
    lost += 1;
    return lost <= 2;
  };
  const bytes = await two.get('file', 3 * BLOCK_BYTES);
  assert.ok(bytes.every((byte) => byte === 7));
  assert.ok(lost > 2);
});

test('a file is told to be unchanged after another has only set its times', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'some bytes');
  await two.get('file');
  await one.fs.setattr(one.context(), ino, { mode: 0o600, killSuidGid: false });
  const asked = worlds.calls.length;
  assert.equal((await two.get('file')).toString(), 'some bytes');
  assert.equal(worlds.calls.length, asked);
});

test('a read shows what was written before it, though that is published meanwhile', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  await one.put('file', 'old old old');
  const { fh } = await two.open('file');
  await two.write(fh, 4, 'new');
  const held = holdAfter(worlds, 'read');
  const reading = two.read(fh, 0, 100);
  await turns();
  await two.fsync(fh);
  held.resolve();
  assert.equal((await reading).toString(), 'old new old');
});

test('a transfer that breaks off is begun again, and all of it is waited for', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const bytes = Buffer.alloc(20 * BLOCK_BYTES, 7);
  await one.put('file', bytes);
  let frames = 0;
  worlds.after = ({ kind }) => {
    frames += kind === 'read' ? 1 : 0;
    if (frames === 3) throw new FsError('EHOSTUNREACH', 'broken off');
  };
  assert.ok((await two.get('file', bytes.length)).equals(bytes));
  assert.equal(worlds.count('read'), 2);
});
