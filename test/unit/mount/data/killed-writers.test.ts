import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import type { Ino } from '../../../../src/common/ids.ts';
import { delay } from '../../../../src/common/lifecycle.ts';
import { type TwoWorlds, turns, worldsFor } from '../../../support/two-worlds.ts';

/** Names and bytes in lost+found of a machine. */
function lost(worlds: TwoWorlds, name: string): Record<string, string> {
  const dir = join(worlds.dir, `lost+found-${name}`);
  const found = readdirSync(worlds.dir).includes(`lost+found-${name}`) ? readdirSync(dir) : [];
  return Object.fromEntries(found.map((file) => [file, readFileSync(join(dir, file), 'latin1')]));
}

for (const [writer, other, whose] of [
  ['one', 'two', 'its own file'],
  ['two', 'one', 'a file of another machine'],
] as const) {
  test(`what a killed process wrote to ${whose} is seen by all at once`, async (t) => {
    const worlds = await worldsFor(t);
    await worlds.one.put('file', 'base');
    const { fh, ino } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 2, 'written');
    await worlds.node(writer).write(fh, 12, 'more');
    const next = await worlds.kill(worlds.node(writer), 'goes on');
    const expected = 'bawritten\0\0\0more';
    assert.equal((await worlds.node(other).get('file')).toString('latin1'), expected);
    assert.equal((await next.get('file')).toString('latin1'), expected);
    await worlds.settle();
    assert.equal((await worlds.stored(ino)).size, expected.length);
    assert.equal(next.journal.files.size, 0);
    assert.deepEqual(await next.keptFiles(), []);
  });

  test(`two kills in a row lose nothing of ${whose}`, async (t) => {
    const worlds = await worldsFor(t);
    await worlds.one.put('file', 'base');
    const { fh } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 4, ' one');
    const second = await worlds.kill(worlds.node(writer), 'goes on');
    const { fh: again } = await second.open('file');
    await second.write(again, 8, ' two');
    const third = await worlds.kill(second, 'goes on');
    assert.equal((await third.get('file')).toString(), 'base one two');
    assert.equal((await worlds.node(other).get('file')).toString(), 'base one two');
  });

  test(`what was published before the kill is not published again over ${whose}`, async (t) => {
    const worlds = await worldsFor(t);
    await worlds.one.put('file', 'base');
    const { fh } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 0, 'old');
    await worlds.node(writer).shut(fh);
    const { fh: theirs } = await worlds.node(other).open('file');
    await worlds.node(other).write(theirs, 0, 'new');
    await worlds.node(other).shut(theirs);
    const next = await worlds.kill(worlds.node(writer), 'goes on');
    assert.equal(await next.vfs.publishAll(), 0);
    assert.equal((await next.get('file')).toString(), 'newe');
    assert.equal((await worlds.node(other).get('file')).toString(), 'newe');
  });

  test(`a cut of ${whose} that the killed process did not hear of holds`, async (t) => {
    const worlds = await worldsFor(t);
    const ino = await worlds.one.put('file', 'base');
    const { fh } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 4, ' and more bytes');
    worlds.answering = async (from, op) => {
      if (from === writer && op.$case === 'setattr') await new Promise(() => undefined);
    };
    worlds
      .node(writer)
      .truncate(ino, 6)
      .catch(() => undefined);
    await turns(200);
    assert.equal((await worlds.stored(ino)).size, 6, 'the metaserver has cut it');
    worlds.answering = () => undefined;
    const next = await worlds.kill(worlds.node(writer), 'goes on');
    assert.equal(await next.vfs.publishAll(), 0);
    assert.equal((await worlds.stored(ino)).size, 6);
    await next.truncate(ino, 10);
    const expected = 'base a\0\0\0\0';
    assert.equal((await worlds.node(other).get('file')).toString('latin1'), expected);
    assert.equal((await next.get('file')).toString('latin1'), expected);
  });

  test(`a size that was set leaves nothing of ${whose} to publish`, async (t) => {
    const worlds = await worldsFor(t);
    const ino = await worlds.one.put('file', 'base');
    const node = worlds.node(writer);
    const { fh } = await node.open('file');
    for (const size of [3, 9]) {
      await node.write(fh, 4, ' and');
      await node.truncate(ino, size);
      assert.equal(node.journal.files.size, 0);
    }
  });

  test(`the times of a write to ${whose} outlive the process`, async (t) => {
    const worlds = await worldsFor(t);
    const ino = await worlds.one.put('file', 'base');
    worlds.clock.advance(60_000);
    const { fh } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 0, 'B');
    const node = worlds.node(writer);
    const { mtime } = (await node.fs.getattr(node.context(), ino)).attr;
    await worlds.kill(node, 'goes on');
    const looks = worlds.node(other);
    assert.deepEqual((await looks.fs.getattr(looks.context(), ino)).attr.mtime, mtime);
  });

  test(`a session that ended leaves what was written to ${whose} as an eviction does`, async (t) => {
    const worlds = await worldsFor(t);
    await worlds.one.put('file', 'base');
    const { fh, ino } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 4, ' and more');
    const next = await worlds.kill(worlds.node(writer), 'is over');
    assert.equal(await next.vfs.publishAll(), 0);
    const isLocal = writer === 'one';
    const expected = isLocal ? 'base and more' : 'base';
    assert.equal((await next.get('file')).toString(), expected);
    assert.equal((await worlds.node(other).get('file')).toString(), expected);
    const [kept, ...more] = Object.entries(lost(worlds, writer));
    assert.deepEqual(more, []);
    if (isLocal) assert.equal(kept, undefined);
    else {
      assert.match(kept?.[0] ?? '', new RegExp(`^${ino}\\.[0-9]+$`));
      assert.equal(kept?.[1], '\0\0\0\0 and more');
    }
    assert.equal(next.journal.files.size, 0);
    assert.deepEqual(await next.keptFiles(), []);
  });

  test(`nothing is kept of ${whose} when it was removed meanwhile`, async (t) => {
    const worlds = await worldsFor(t);
    await worlds.one.put('file', 'base');
    const { fh } = await worlds.node(writer).open('file');
    await worlds.node(writer).write(fh, 4, ' and more');
    let removals = 0;
    worlds.asking = async (from, op) => {
      if (from !== writer || op.$case !== 'getattr' || removals > 0) return;
      removals += 1;
      await worlds.node(other).unlink('file');
    };
    const next = await worlds.kill(worlds.node(writer), 'is over');
    assert.equal(removals, 1);
    assert.equal(await next.vfs.publishAll(), 0);
    assert.equal(next.journal.files.size, 0);
    assert.deepEqual(await next.keptFiles(), []);
    assert.deepEqual(lost(worlds, writer), {});
  });
}

test('a home does not cut off what its killed process wrote behind the published size', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', 'base');
  const { fh } = await worlds.one.open('file');
  await worlds.one.write(fh, 4, ' and more');
  let early = 0;
  worlds.asking = async (from, op) => {
    if (from !== 'one' || op.$case !== 'getattr' || early > 0) return;
    early += 1;
    // Another machine asks the home before its mount has looked at the journal.
    await worlds.one.home.settle(Number(op.value.ino) as Ino, 0);
  };
  await worlds.kill(worlds.one, 'goes on');
  assert.equal(early, 1);
  assert.equal((await worlds.two.get('file')).toString(), 'base and more');
});

test('what is published after a kill was cut on the disk before', async (t) => {
  const worlds = await worldsFor(t);
  const ino = await worlds.one.put('file', 'precious bytes');
  await worlds.one.store.syncAll();
  await worlds.one.truncate(ino, 4);
  const { fh } = await worlds.one.open('file');
  await worlds.one.write(fh, 8, 'z');
  const next = await worlds.kill(worlds.one, 'goes on');
  assert.equal(await next.vfs.publishAll(), 0);
  // Of what no sync was waited for nothing is left.
  await worlds.restart(next, () => false);
  assert.equal((await worlds.two.get('file')).toString('latin1'), 'prec\0\0\0\0z');
});

test('it is published under the youngest lease a call was made under', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base of it');
  const { fh } = await two.open('file');
  await two.write(fh, 0, 'B');
  two.expire();
  await turns();
  // The home has heard of the younger lease when it was read under that.
  assert.equal((await two.read(fh, 0, 4)).toString(), 'Base');
  const next = await worlds.kill(two, 'goes on');
  assert.equal(await next.vfs.publishAll(), 0);
  assert.equal((await worlds.one.get('file')).toString(), 'Base of it');
  assert.deepEqual(lost(worlds, 'two'), {});
});

test('a killed process that was evicted before does not publish what it may not', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  const { fh, ino } = await two.open('file');
  await two.write(fh, 0, 'lost');
  two.vfs.evicted();
  two.journal.welcomed(1000, two.mountSession.sid + 1000);
  two.journal.welcomed(1000, two.mountSession.sid);
  const next = await worlds.kill(two, 'goes on');
  assert.equal(await next.vfs.publishAll(), 0);
  assert.equal((await worlds.one.get('file')).toString(), 'base');
  const kept = Object.entries(lost(worlds, 'two'));
  assert.deepEqual(
    kept.map(([name, bytes]) => [name.split('.')[0], bytes]),
    [[String(ino), 'lost']],
  );
});

test('what is written while the write before it is published outlives a kill', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.write(fh, 0, 'one');
  let meanwhile = 0;
  worlds.asking = async (from, op) => {
    if (from !== 'two' || op.$case !== 'flushAttr' || meanwhile > 0) return;
    meanwhile += 1;
    await two.write(fh, 1, 'TWO');
  };
  assert.equal(await two.vfs.publishAll(), 0);
  const next = await worlds.kill(two, 'goes on');
  assert.equal((await next.get('file')).toString(), 'oTWO');
  assert.equal((await worlds.one.get('file')).toString(), 'oTWO');
});

test('a write is answered with an error when the journal does not take it', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  two.journal.close();
  await assert.rejects(two.write(fh, 0, 'B'), (error) => error instanceof FsError);
});

test('behind a damaged record nothing is published, and nothing is dropped', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  await worlds.one.put('other', 'base');
  const { fh, ino } = await two.open('file');
  await two.write(fh, 0, 'first');
  const size = readFileSync(worlds.journalPath('two')).length;
  const { fh: fh2, ino: ino2 } = await two.open('other');
  await two.write(fh2, 0, 'second');
  await two.write(fh, 8, 'third');
  const boot = await worlds.die(two, 'goes on');
  const bytes = readFileSync(worlds.journalPath('two'));
  bytes[size + 20] = 0xff;
  writeFileSync(worlds.journalPath('two'), bytes);
  const next = await boot();
  assert.equal(await next.vfs.publishAll(), 0);
  assert.equal((await next.get('file')).toString(), 'base');
  assert.equal((await next.get('other')).toString(), 'base');
  const kept = Object.entries(lost(worlds, 'two')).map(([name, text]) => [
    name.split('.')[0],
    text,
  ]);
  assert.deepEqual(
    kept.sort(),
    [
      [String(ino), 'first\0\0\0third'],
      [String(ino2), 'second'],
    ].sort(),
  );
});

test('a record that was cut off is as if it had never been begun', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.write(fh, 0, 'first');
  await two.write(fh, 5, ' never answered');
  const boot = await worlds.die(two, 'goes on');
  const { length } = readFileSync(worlds.journalPath('two'));
  truncateSync(worlds.journalPath('two'), length - 3);
  await boot();
  assert.equal((await worlds.one.get('file')).toString(), 'first');
  assert.deepEqual(lost(worlds, 'two'), {});
});

test('after another start of the machine the journal says nothing', async (t) => {
  const worlds = await worldsFor(t);
  await worlds.one.put('file', 'base');
  const { fh } = await worlds.two.open('file');
  await worlds.two.write(fh, 0, 'gone');
  const next = await worlds.restart(worlds.two, () => true);
  assert.equal(await next.vfs.publishAll(), 0);
  assert.equal((await next.get('file')).toString(), 'base');
  assert.deepEqual(await next.keptFiles(), []);
  assert.deepEqual(lost(worlds, 'two'), {});
});

test('bytes written while those before them are thrown away outlive a kill', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  for (let round = 0; round < 5; round += 1) {
    await two.write(fh, 0, 'B');
    assert.equal(await two.vfs.publishAll(), 0);
    await two.write(fh, 1, String(round));
    await delay(5);
    const dir = join(worlds.dir, 'writeback-two');
    assert.deepEqual(readdirSync(dir), [String((await two.open('file')).ino)]);
  }
  const next = await worlds.kill(two, 'goes on');
  assert.equal((await next.get('file')).toString(), 'B4se');
});

test('the journal lets go of bytes before the write-back folder does', async (t) => {
  const worlds = await worldsFor(t);
  const { two } = worlds;
  const { files, journal } = two;
  const named: boolean[] = [];
  const discard = files.discard.bind(files);
  files.discard = (ino) => {
    named.push(journal.files.has(ino));
    discard(ino);
  };
  await worlds.one.put('file', 'base');
  const { fh } = await two.open('file');
  await two.write(fh, 0, 'B');
  await two.fsync(fh);
  await two.write(fh, 0, 'C');
  await worlds.one.unlink('file');
  await two.shut(fh);
  assert.deepEqual(named, [false, false]);
});
