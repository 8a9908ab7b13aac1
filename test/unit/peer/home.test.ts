import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { asIno } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { nextTurns } from '../../support/random.ts';
import { groupView } from '../../support/store-helpers.ts';
import { FILE, HomeFixture, right } from './home-fixture.ts';

const isError =
  (code: string, text = '') =>
  (error: unknown) =>
    error instanceof FsError && error.code === code && error.message.includes(text);

async function allRefused(
  calls: readonly Promise<unknown>[],
  isRight: (error: unknown) => boolean,
): Promise<void> {
  for (const outcome of await Promise.allSettled(calls)) {
    assert.ok(outcome.status === 'rejected' && isRight(outcome.reason), outcome.status);
  }
}

/** A home where the file is known to have been cut once, to nothing. */
async function settled(): Promise<HomeFixture> {
  const fixture = new HomeFixture();
  fixture.attr = { size: 0, cuts: 1 };
  await fixture.home.settle(FILE, 1);
  fixture.fetches = 0;
  fixture.store.log.length = 0;
  return fixture;
}

describe('the first call about a file in the life of a home', () => {
  it('asks the metaserver, and cuts off what an earlier life left behind the size', async () => {
    const fixture = new HomeFixture();
    await fixture.leave('published and not');
    fixture.attr = { size: 9, cuts: 3 };
    assert.equal(await fixture.seen(3), 'published');
    assert.deepEqual(fixture.store.log, ['reconcile 9']);
    assert.equal(await fixture.stored(), 'published');
    await fixture.write(3, 'more than published');
    await fixture.home.sync(right(3), FILE);
    assert.equal(await fixture.seen(3), 'more than published');
    assert.equal(fixture.fetches, 1);
    assert.deepEqual(fixture.told, []);
  });

  it('asks once for all who call meanwhile', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const calls = [fixture.seen(0), fixture.write(0, 'x'), fixture.home.settle(FILE, 0)];
    await nextTurns(2);
    gate.resolve();
    await Promise.all(calls);
    assert.equal(fixture.fetches, 1);
    assert.ok(fixture.home.isSettled(FILE, 0));
  });

  it('fails as the question does, and the next call asks again', async () => {
    const fixture = new HomeFixture();
    fixture.onFetch = () => Promise.reject(new FsError('ETIMEDOUT', 'the metaserver is away'));
    await assert.rejects(fixture.write(0, 'x'), isError('ETIMEDOUT'));
    assert.equal(fixture.home.isSettled(FILE, 0), false);
    fixture.onFetch = () => undefined;
    await fixture.write(0, 'y');
    assert.equal(await fixture.seen(0), 'y');
    assert.equal(fixture.fetches, 2);
  });

  it('asks nobody when the mount of this node has just made the file', async () => {
    const fixture = new HomeFixture();
    fixture.home.created(FILE);
    await fixture.write(0, 'new');
    assert.equal(await fixture.seen(0), 'new');
    assert.equal(fixture.fetches, 0);
  });

  it('does not undo what the mount of this node writes to it meanwhile', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const call = fixture.seen(0);
    fixture.home.created(FILE);
    await fixture.leave('written before the reply');
    gate.resolve();
    assert.equal(await call, 'written before the reply');
    assert.deepEqual(fixture.store.log, []);
  });

  it('is not forgotten when the news of its creation comes late', async () => {
    const fixture = new HomeFixture();
    fixture.attr = { size: 0, cuts: 1 };
    await fixture.write(1, 'after a cut by another');
    fixture.home.created(FILE);
    assert.ok(fixture.home.isSettled(FILE, 1));
    assert.equal(await fixture.seen(1), 'after a cut by another');
    assert.equal(fixture.fetches, 1);
  });
});

describe('a call that names cuts', () => {
  it('is refused when it knows of fewer than were made', async () => {
    const fixture = await settled();
    await fixture.write(1, 'kept');
    await assert.rejects(fixture.write(0, 'late'), isError('ESTALE', 'cut 1 times, not 0'));
    await assert.rejects(fixture.seen(0), isError('ESTALE'));
    await assert.rejects(fixture.home.sync(right(0), FILE), isError('ESTALE'));
    await assert.rejects(fixture.home.settle(FILE, 0), isError('ESTALE'));
    assert.equal(await fixture.seen(1), 'kept');
    assert.equal(fixture.fetches, 0);
  });

  it('is preceded by the cuts it knows of and the home does not', async () => {
    const fixture = await settled();
    await fixture.write(1, 'cut to here| and no further');
    fixture.attr = { size: 11, cuts: 3 };
    assert.equal(await fixture.seen(3), 'cut to here');
    assert.deepEqual(fixture.told, [`cut ${FILE} 11`]);
    await assert.rejects(fixture.seen(2), isError('ESTALE'));
  });

  it('asks again when the reply was from before the cut', async () => {
    const fixture = await settled();
    await fixture.write(1, 'old bytes');
    fixture.attr = { size: 9, cuts: 1 };
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const call = fixture.seen(2);
    fixture.attr = { size: 3, cuts: 2 };
    gate.resolve();
    assert.equal(await call, 'old');
    assert.equal(fixture.fetches, 2);
    assert.deepEqual(fixture.store.log, ['reconcile 3']);
  });

  it('fails when the metaserver knows of no such cut, after a few questions', async () => {
    const fixture = await settled();
    await assert.rejects(fixture.seen(9), isError('EIO', 'no cut 9'));
    assert.equal(fixture.fetches, 4);
    await fixture.write(1, 'x');
  });

  it('is refused when the file was cut again while it waited', async () => {
    const fixture = await settled();
    fixture.attr = { size: 0, cuts: 3 };
    await assert.rejects(fixture.write(2, 'x'), isError('ESTALE', 'cut 3 times, not 2'));
    assert.equal(await fixture.stored(), '');
  });

  it('of another group or epoch is refused before anybody is asked', async () => {
    const fixture = new HomeFixture();
    const data = Buffer.from('x');
    for (const wrong of [right(0, 2), right(0, 1, 9)]) {
      const { home } = fixture;
      const run = { chunk: 0, blockFirst: 0, blockEnd: 1 };
      await assert.rejects(
        async () => home.write(wrong, FILE, { offset: 0, data }),
        isError('ESTALE'),
      );
      await assert.rejects(async () => home.sync(wrong, FILE), isError('ESTALE'));
      await assert.rejects(home.cutFor(wrong, FILE, 0), isError('ESTALE'));
      await assert.rejects(
        async () => home.read(wrong, FILE, run, Buffer.alloc(65_536)),
        isError('ESTALE'),
      );
    }
    assert.equal(fixture.fetches, 0);
  });

  it('is refused when the epoch of the group moves while it waits', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const calls = [fixture.seen(0), fixture.write(0, 'x'), fixture.home.sync(right(0), FILE)];
    fixture.store.setGroups([groupView(2)]);
    gate.resolve();
    await allRefused(calls, isError('ESTALE', 'epoch 1'));
  });
});

describe('a cut for another peer', () => {
  it('is durable when it is answered, and the mount of this node hears of it', async () => {
    const fixture = await settled();
    await fixture.write(1, 'longer');
    await fixture.home.cutFor(right(2), FILE, 4);
    assert.equal(await fixture.seen(2), 'long');
    assert.deepEqual(fixture.store.log, [`fsync ${FILE}`]);
    assert.deepEqual(fixture.told, [`cut ${FILE} 4`]);
    assert.equal(fixture.fetches, 0);
  });

  it('that comes late or twice cuts nothing', async () => {
    const fixture = await settled();
    await fixture.home.cutFor(right(2), FILE, 0);
    await fixture.write(2, 'written since');
    await fixture.home.cutFor(right(2), FILE, 0);
    await fixture.home.cutFor(right(1), FILE, 0);
    assert.equal(await fixture.seen(2), 'written since');
    assert.equal(fixture.fetches, 0);
  });

  it('that comes before an earlier one makes both, as the metaserver says', async () => {
    const fixture = await settled();
    await fixture.write(1, 'cut to three, then grown by nobody');
    fixture.attr = { size: 3, cuts: 3 };
    await fixture.home.cutFor(right(3), FILE, 20);
    assert.equal(await fixture.seen(3), 'cut');
    await fixture.home.cutFor(right(2), FILE, 0);
    assert.equal(await fixture.seen(3), 'cut');
    assert.equal(fixture.fetches, 1);
  });

  it('that meets the first question about the file is made once the answer is there', async () => {
    const fixture = new HomeFixture();
    await fixture.leave('left by an earlier life');
    fixture.attr = { size: 23, cuts: 0 };
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const reading = fixture.seen(0);
    fixture.attr = { size: 4, cuts: 1 };
    const cut = fixture.home.cutFor(right(1), FILE, 4);
    gate.resolve();
    await cut;
    assert.equal(await fixture.seen(1), 'left');
    assert.ok(
      ['left by an earlier life', undefined].includes(await reading.catch(() => undefined)),
    );
  });

  it('that the disk refuses is not taken for made', async () => {
    const fixture = await settled();
    await fixture.write(1, 'longer');
    fixture.store.beforeCommit = () => Promise.reject(new FsError('EIO', 'a bad disk'));
    await assert.rejects(fixture.home.cutFor(right(2), FILE, 2), isError('EIO'));
    assert.ok(fixture.home.isSettled(FILE, 1));
    fixture.store.beforeCommit = () => undefined;
    fixture.attr = { size: 2, cuts: 2 };
    assert.equal(await fixture.seen(2), 'lo');
  });

  it('does not overtake changes that wait', async () => {
    const fixture = await settled();
    const gate = deferred<void>();
    fixture.store.beforeCommit = (record) => (record.kind === 'write' ? gate.promise : undefined);
    const writing = fixture.write(1, 'before the cut');
    const cut = fixture.home.cutFor(right(2), FILE, 6);
    await nextTurns(2);
    assert.ok(fixture.home.isSettled(FILE, 1));
    gate.resolve();
    await Promise.all([writing, cut]);
    assert.equal(await fixture.seen(2), 'before');
  });
});

describe('a cut by the mount of this node', () => {
  it('is made without a sync, and without telling that mount', async () => {
    const fixture = await settled();
    await fixture.write(1, 'longer');
    await fixture.home.cut(right(2), FILE, 4);
    assert.ok(fixture.home.isSettled(FILE, 2));
    assert.equal(await fixture.stored(), 'long');
    assert.deepEqual([fixture.store.log, fixture.told], [[], []]);
  });

  it('is synced before anybody else reads, writes or syncs behind it, once', async () => {
    const acts: ((fixture: HomeFixture) => Promise<unknown>)[] = [
      (fixture) => fixture.seen(2),
      (fixture) => fixture.write(2, 'x'),
    ];
    for (const act of acts) {
      const fixture = await settled();
      await fixture.home.cut(right(2), FILE, 4);
      const gate = deferred<void>();
      fixture.store.beforeSync = () => gate.promise;
      let isDone = false;
      const call = act(fixture).then(() => {
        isDone = true;
      });
      await nextTurns(3);
      assert.equal(isDone, false);
      gate.resolve();
      await call;
      await act(fixture);
      assert.deepEqual(fixture.store.log, [`fsync ${FILE}`]);
    }
  });

  it('that could not be made durable keeps others out', async () => {
    const fixture = await settled();
    await fixture.home.cut(right(2), FILE, 4);
    fixture.store.beforeSync = () => Promise.reject(new FsError('EIO', 'a bad disk'));
    await assert.rejects(fixture.write(2, 'x'), isError('EIO'));
    await assert.rejects(fixture.seen(2), isError('EIO'));
    assert.equal(await fixture.stored(), '');
  });

  it('is synced once more when another one came during the sync', async () => {
    const fixture = await settled();
    await fixture.home.cut(right(2), FILE, 4);
    let cut: Promise<void> | undefined;
    fixture.attr = { size: 2, cuts: 3 };
    fixture.store.beforeSync = () => {
      cut ??= fixture.home.cut(right(3), FILE, 2);
    };
    await assert.rejects(fixture.write(2, 'x'), isError('ESTALE', 'cut 3 times, not 2'));
    await cut;
    await fixture.write(3, 'y');
    assert.deepEqual(fixture.store.log, [`fsync ${FILE}`, `fsync ${FILE}`]);
    assert.equal(await fixture.stored(), 'y');
  });

  it('that is not made yet holds up others who do not know of it', async () => {
    const fixture = await settled();
    await fixture.write(1, 'longer');
    const gate = deferred<void>();
    fixture.store.beforeCommit = (record) =>
      record.kind === 'truncate' ? gate.promise : undefined;
    const cut = fixture.home.cut(right(2), FILE, 4);
    const late = fixture.write(1, 'LATE AND LONG');
    await nextTurns(3);
    gate.resolve();
    await assert.rejects(late, isError('ESTALE', 'cut 2 times, not 1'));
    await cut;
    assert.equal(await fixture.seen(2), 'long');
  });

  it('that meets a question about the file is made by the answer', async () => {
    const fixture = new HomeFixture();
    await fixture.leave('left by an earlier life');
    fixture.attr = { size: 23, cuts: 0 };
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const settling = fixture.home.settle(FILE, 0);
    fixture.attr = { size: 4, cuts: 1 };
    const cut = fixture.home.cut(right(1), FILE, 4);
    gate.resolve();
    await cut;
    await settling.catch(() => undefined);
    assert.equal(await fixture.stored(), 'left');
    assert.equal(await fixture.seen(1), 'left');
  });

  it('that comes after another peer has learned of it changes nothing', async () => {
    const fixture = await settled();
    await fixture.write(1, 'longer');
    fixture.attr = { size: 2, cuts: 2 };
    await fixture.write(2, 'new bytes');
    await fixture.home.cut(right(2), FILE, 2);
    assert.equal(await fixture.seen(2), 'new bytes');
  });
});

describe('a removed file', () => {
  it('is refused to everybody, without a question', async () => {
    const fixture = await settled();
    await fixture.write(1, 'gone soon');
    await fixture.home.cut(right(2), FILE, 4);
    await fixture.home.remove([FILE]);
    await fixture.home.remove([FILE]);
    assert.ok(fixture.home.isRemoved(FILE) && !fixture.home.isSettled(FILE, 2));
    assert.equal(fixture.store.blocks(FILE), 0);
    for (const cuts of [0, 1, 2, 3]) {
      await assert.rejects(fixture.seen(cuts), isError('ESTALE', 'was removed'));
      await assert.rejects(fixture.write(cuts, 'x'), isError('ESTALE', 'was removed'));
      await assert.rejects(fixture.home.sync(right(cuts), FILE), isError('ESTALE', 'was removed'));
      await assert.rejects(fixture.home.cutFor(right(cuts), FILE, 0), isError('ESTALE'));
      await assert.rejects(fixture.home.cut(right(cuts), FILE, 0), isError('ESTALE'));
    }
    assert.equal(fixture.fetches, 0);
    assert.deepEqual(fixture.told, [`removed ${FILE}`, `removed ${FILE}`]);
  });

  it('that only the metaserver knows to be gone is asked about once', async () => {
    const fixture = new HomeFixture();
    fixture.attr = undefined;
    await assert.rejects(fixture.seen(0), isError('ESTALE', 'was removed'));
    await assert.rejects(fixture.write(0, 'x'), isError('ESTALE', 'was removed'));
    assert.equal(fixture.fetches, 1);
    assert.equal(fixture.store.blocks(FILE), 0);
  });

  it('gets no bytes from a call that began before', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const calls = [fixture.write(0, 'late'), fixture.seen(0), fixture.home.settle(FILE, 0)];
    await nextTurns(1);
    await fixture.home.remove([FILE]);
    gate.resolve();
    await allRefused(calls, isError('ESTALE', 'was removed'));
    assert.equal(fixture.store.blocks(FILE), 0);
    assert.equal(fixture.home.isSettled(FILE, 0), false);
  });

  it('does not come back by a cut that was under way', async () => {
    const fixture = await settled();
    await fixture.write(1, 'longer');
    const gate = deferred<void>();
    fixture.store.beforeCommit = () => gate.promise;
    const cut = fixture.home.cut(right(2), FILE, 4);
    const other = fixture.home.cutFor(right(2), FILE, 4).catch(() => undefined);
    await fixture.home.remove([FILE]);
    gate.resolve();
    await Promise.all([cut, other]);
    assert.ok(fixture.home.isRemoved(FILE) && !fixture.home.isSettled(FILE, 2));
    await assert.rejects(fixture.write(2, 'x'), isError('ESTALE', 'was removed'));
  });

  it('is asked about again when very many others were removed since', async () => {
    const fixture = await settled();
    fixture.attr = undefined;
    await fixture.home.remove([FILE]);
    await fixture.home.remove(Array.from({ length: 100_000 }, (_, at) => asIno(80_000 + at)));
    assert.equal(fixture.home.isRemoved(FILE), false);
    await assert.rejects(fixture.seen(1), isError('ESTALE', 'was removed'));
    assert.equal(fixture.fetches, 1);
    assert.ok(fixture.home.isRemoved(FILE));
  });
});
