import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_BYTES } from '../../../../src/common/ids.ts';
import { worldsFor } from '../../../support/two-worlds.ts';

const NOTHING = (): boolean => false;
const ALL = (): boolean => true;

for (const [how, survives] of [
  ['dies', ALL],
  ['loses power', NOTHING],
] as const) {
  test(`a home that ${how} between data and size loses nothing that is then published`, async (t) => {
    const worlds = await worldsFor(t);
    const { two } = worlds;
    const ino = await worlds.one.put('file', 'base');
    await worlds.one.store.syncAll();
    const { fh } = await two.open('file');
    await two.write(fh, 2, 'written by two');
    let restarts = 0;
    worlds.asking = async (from, op) => {
      if (from !== 'two' || op.$case !== 'flushAttr' || restarts > 0) return;
      restarts += 1;
      await worlds.restart(worlds.one, survives);
    };
    await two.shut(fh);
    assert.equal(restarts, 1);
    assert.equal((await worlds.stored(ino)).size, 16);
    assert.equal((await worlds.one.get('file')).toString(), 'bawritten by two');
    assert.equal((await two.get('file')).toString(), 'bawritten by two');
    assert.equal(worlds.count('write'), 2);
  });

  test(`a home that ${how} while bytes wait with the writer gets them at close`, async (t) => {
    const worlds = await worldsFor(t);
    const { two } = worlds;
    await worlds.one.put('file', 'base');
    await worlds.one.store.syncAll();
    const { fh } = await two.open('file');
    await two.write(fh, 2, 'written by two');
    await worlds.restart(worlds.one, survives);
    await two.shut(fh);
    assert.equal((await worlds.one.get('file')).toString(), 'bawritten by two');
  });
}

test('what fsync answered for is there after the home lost power', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.write(fh, 2, 'written by two');
  await two.fsync(fh);
  await worlds.restart(worlds.one, NOTHING);
  assert.equal((await worlds.one.get('file')).toString('latin1').slice(2), 'written by two');
  assert.equal((await two.get('file')).toString('latin1').slice(2), 'written by two');
});

test('fsync while the home loses power sends and syncs once more', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  await worlds.one.store.syncAll();
  const { fh } = await two.open('file');
  await two.write(fh, 2, 'written by two');
  let restarts = 0;
  worlds.before = async ({ kind }) => {
    if (kind !== 'sync' || restarts > 0) return;
    restarts += 1;
    await worlds.restart(worlds.one, NOTHING);
  };
  await two.fsync(fh);
  assert.equal(restarts, 1);
  await worlds.restart(worlds.one, NOTHING);
  assert.equal((await worlds.one.get('file')).toString(), 'bawritten by two');
});

test('fsync is not answered for bytes a restart took between its sync and its publication', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  await worlds.one.store.syncAll();
  const { fh } = await two.open('file');
  await two.write(fh, 2, 'written by two');
  let restarts = 0;
  worlds.asking = async (from, op) => {
    if (from !== 'two' || op.$case !== 'flushAttr' || restarts > 0) return;
    restarts += 1;
    await worlds.restart(worlds.one, NOTHING);
  };
  await two.fsync(fh);
  await worlds.restart(worlds.one, NOTHING);
  assert.equal((await worlds.one.get('file')).toString(), 'bawritten by two');
});

test('what a dead home wrote behind the published size is never seen', async (t) => {
  const worlds = await worldsFor(t);
  const ino = await worlds.one.put('file', 'base');
  const { fh } = await worlds.one.open('file');
  await worlds.one.write(fh, 6, 'never published');
  await worlds.restart(worlds.one, ALL);
  await worlds.two.truncate(ino, 12);
  const expected = `base${'\0'.repeat(8)}`;
  assert.equal((await worlds.two.get('file')).toString('latin1'), expected);
  assert.equal((await worlds.one.get('file')).toString('latin1'), expected);
});

test('a cut that the home had not synced holds after it lost power', async (t) => {
  const worlds = await worldsFor(t);
  const ino = await worlds.one.put('file', 'precious bytes');
  await worlds.one.store.syncAll();
  await worlds.one.truncate(ino, 4);
  await worlds.restart(worlds.one, NOTHING);
  await worlds.two.truncate(ino, 10);
  assert.equal((await worlds.two.get('file')).toString('latin1'), 'prec\0\0\0\0\0\0');
  assert.equal((await worlds.one.get('file')).toString('latin1'), 'prec\0\0\0\0\0\0');
});

test('a reader trusts no version of an earlier life of the home', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', 'old bytes');
  await worlds.one.store.syncAll();
  const { fh } = await worlds.one.open('file');
  await worlds.one.write(fh, 0, 'new');
  assert.equal((await worlds.two.get('file')).toString(), 'new bytes');
  await worlds.restart(worlds.one, NOTHING);
  assert.equal((await worlds.two.get('file')).toString(), 'old bytes');
});

test('after a restart of the home unchanged blocks are asked for once', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', Buffer.alloc(3 * BLOCK_BYTES, 7));
  await worlds.two.get('file', 3 * BLOCK_BYTES);
  await worlds.restart(worlds.one, ALL);
  const asked = worlds.calls.length;
  await worlds.two.get('file', 3 * BLOCK_BYTES);
  assert.ok(worlds.count('read', asked) > 0);
  await worlds.settle();
  const then = worlds.calls.length;
  await worlds.two.get('file', 3 * BLOCK_BYTES);
  assert.equal(worlds.calls.length, then);
});

test('a writer that dies leaves the file whole, without what it had not sent', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', 'base');
  const { fh } = await worlds.two.open('file');
  await worlds.two.write(fh, 4, ' and more');
  await worlds.restart(worlds.two, ALL);
  assert.equal((await worlds.two.get('file')).toString(), 'base');
  assert.equal((await worlds.one.get('file')).toString(), 'base');
});

for (const cutter of ['one', 'two'] as const) {
  for (const writer of ['one', 'two'] as const) {
    test(`bytes that ${cutter} cut off stay away when ${writer} made the file longer and the home lost power`, async (t) => {
      const worlds = await worldsFor(t);
      const ino = await worlds.one.put('file', 'precious bytes');
      await worlds.one.store.syncAll();
      await worlds.node(cutter).truncate(ino, 4);
      await worlds.settle();
      const { fh } = await worlds.node(writer).open('file');
      await worlds.node(writer).write(fh, 10, 'z');
      await worlds.node(writer).shut(fh);
      await worlds.restart(worlds.one, NOTHING);
      const seen = (await worlds.two.get('file')).toString('latin1');
      assert.equal(seen.length, 11);
      assert.equal(seen.slice(0, 10), 'prec\0\0\0\0\0\0');
      assert.ok(['z', '\0'].includes(seen.slice(10)), `at the end is ${seen.slice(10)}`);
    });
  }
}
