import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { deferred } from '../../../../src/common/lifecycle.ts';
import { turns, worldsFor } from '../../../support/two-worlds.ts';
import { cutUnheld } from '../../../support/unheld.ts';

for (const [cutter, reader] of [
  ['one', 'two'],
  ['two', 'one'],
] as const) {
  test(`what ${cutter} cut off never comes back for ${reader}, whoever makes it longer`, async (t) => {
    const worlds = await worldsFor(t);
    const ino = await worlds.one.put('file', 'precious bytes');
    await worlds.node(reader).get('file');
    await worlds.node(cutter).truncate(ino, 3);
    assert.equal((await worlds.node(reader).get('file')).toString(), 'pre');
    await worlds.node(reader).truncate(ino, 6);
    const { fh } = await worlds.node(reader).open('file');
    await worlds.node(reader).write(fh, 8, 'z');
    await worlds.node(reader).shut(fh);
    for (const name of ['one', 'two']) {
      const bytes = await worlds.node(name).get('file');
      assert.equal(bytes.toString('latin1'), 'pre\0\0\0\0\0z', name);
    }
  });
}

test('the home cuts before it takes more, though the call that tells it of the cut is lost', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  worlds.before = ({ kind }) => {
    if (kind === 'cut') throw new FsError('EHOSTUNREACH', 'lost on the way');
  };
  await two.truncate(ino, 3);
  await worlds.settle();
  const { fh } = await two.open('file');
  await two.write(fh, 8, 'z');
  await two.shut(fh);
  assert.equal((await one.get('file')).toString('latin1'), 'pre\0\0\0\0\0z');
  assert.equal((await two.get('file')).toString('latin1'), 'pre\0\0\0\0\0z');
});

test('the home’s own mount cuts before it writes, though the call is lost', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  worlds.before = ({ kind }) => {
    if (kind === 'cut') throw new FsError('EHOSTUNREACH', 'lost on the way');
  };
  await two.truncate(ino, 3);
  await worlds.settle();
  const { fh } = await one.open('file');
  await one.write(fh, 8, 'z');
  await one.shut(fh);
  assert.equal((await one.get('file')).toString('latin1'), 'pre\0\0\0\0\0z');
  assert.equal((await two.get('file')).toString('latin1'), 'pre\0\0\0\0\0z');
});

test('a cut by another comes after what was written before, and before what is written then', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  const { fh } = await two.open('file');
  await two.write(fh, 9, 'BYTES!');
  await one.truncate(ino, 3);
  assert.equal((await two.read(fh, 0, 100)).toString(), 'pre');
  await two.write(fh, 5, 'more');
  await two.shut(fh);
  const expected = 'pre\0\0more';
  assert.equal((await one.get('file')).toString('latin1'), expected);
  assert.equal((await two.get('file')).toString('latin1'), expected);
});

test('a cut by another waits for a publication that is under way', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  const { fh } = await two.open('file');
  await two.write(fh, 9, 'BYTES!');
  let cutting: Promise<void> | undefined;
  worlds.asking = async (from, op) => {
    if (from !== 'two' || op.$case !== 'flushAttr' || cutting !== undefined) return;
    cutting = one.truncate(ino, 3);
    await turns();
    assert.equal((await worlds.stored(ino)).size, 14);
  };
  await two.shut(fh);
  await cutting;
  assert.equal((await one.get('file')).toString(), 'pre');
  assert.equal((await two.get('file')).toString(), 'pre');
  assert.equal(worlds.count('write'), 1);
});

test('bytes that wait with a writer survive a cut without a lease, the rest does not', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  const { fh } = await two.open('file');
  await two.write(fh, 9, 'BYTES!');
  await cutUnheld(worlds, ino, 3);
  await two.shut(fh);
  const expected = 'pre\0\0\0\0\0\0BYTES!';
  assert.equal((await one.get('file')).toString('latin1'), expected);
  assert.equal((await two.get('file')).toString('latin1'), expected);
});

test('bytes that were sent and not published survive a cut without a lease as well', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  const { fh } = await two.open('file');
  await two.write(fh, 9, 'BYTES!');
  let cut = false;
  worlds.asking = async (from, op) => {
    if (from !== 'two' || op.$case !== 'flushAttr' || cut) return;
    cut = true;
    await cutUnheld(worlds, ino, 3);
  };
  await two.shut(fh);
  const expected = 'pre\0\0\0\0\0\0BYTES!';
  assert.equal((await one.get('file')).toString('latin1'), expected);
  assert.equal((await two.get('file')).toString('latin1'), expected);
  assert.equal(worlds.count('write'), 2);
});

test('a writer’s own cut takes its waiting bytes, and they do not come back', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious');
  const { fh } = await two.open('file');
  await two.write(fh, 8, ' bytes');
  await two.truncate(ino, 4);
  assert.equal((await two.read(fh, 0, 100)).toString(), 'prec');
  await two.write(fh, 10, 'z');
  assert.equal((await two.read(fh, 0, 100)).toString('latin1'), 'prec\0\0\0\0\0\0z');
  await two.shut(fh);
  assert.equal((await one.get('file')).toString('latin1'), 'prec\0\0\0\0\0\0z');
});

test('the home’s unpublished bytes behind a cut by another go with it', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious');
  const { fh } = await one.open('file');
  await one.write(fh, 8, ' bytes');
  await two.truncate(ino, 4);
  await worlds.settle();
  await one.shut(fh);
  assert.equal((await one.get('file')).toString(), 'prec');
  assert.equal((await two.get('file')).toString(), 'prec');
});

test('two cuts at once leave the shorter file, and nothing behind it', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'precious bytes');
  await Promise.all([one.truncate(ino, 6), two.truncate(ino, 3), one.truncate(ino, 5)]);
  const { size } = await worlds.stored(ino);
  await two.truncate(ino, 10);
  const bytes = await one.get('file');
  const kept = 'precious bytes'.slice(0, 3);
  assert.equal(bytes.toString('latin1'), kept.padEnd(10, '\0'), `the size was ${size}`);
});

test('the home’s own cut is the last word, though it hears of another’s while it asks for it', async (t) => {
  const worlds = await worldsFor(t);
  const { one, two } = worlds;
  const ino = await one.put('file', 'base');
  const { fh } = await one.open('file');
  await one.write(fh, 4, 'not published');
  const arrives = deferred<void>();
  worlds.before = ({ kind }) => (kind === 'cut' ? arrives.promise : undefined);
  await two.truncate(ino, 3);
  worlds.asking = async (from, op) => {
    if (from !== 'one' || op.$case !== 'setattr') return;
    arrives.resolve();
    await turns();
  };
  await one.truncate(ino, 2);
  await one.shut(fh);
  assert.equal((await worlds.stored(ino)).size, 2);
  assert.equal((await two.get('file')).toString(), 'ba');
});

test('what the home published is not published again because of a cut that came after', async (t) => {
  const worlds = await worldsFor(t);
  const { one } = worlds;
  const ino = await one.put('file', 'base');
  const { fh } = await one.open('file');
  await one.write(fh, 4, 'more');
  let cuts = 0;
  worlds.answering = async (from, op) => {
    if (from !== 'one' || op.$case !== 'flushAttr' || cuts > 0) return;
    cuts += 1;
    await cutUnheld(worlds, ino, 6);
    await one.home.settle(ino, 1);
    await cutUnheld(worlds, ino, 2);
  };
  await one.shut(fh);
  assert.equal(cuts, 1);
  assert.equal((await worlds.stored(ino)).size, 2);
  assert.equal((await one.get('file')).toString(), 'ba');
});
