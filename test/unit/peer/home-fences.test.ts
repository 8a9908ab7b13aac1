import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { asEpoch, asSessionId } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import type { FileRight } from '../../../src/peer/chunk-store.ts';
import { nextTurns } from '../../support/random.ts';
import { FILE, HomeFixture, right } from './home-fixture.ts';

const SID = 3;

function isLate(error: unknown): boolean {
  return error instanceof FsError && error.code === 'ENOLCK';
}

/** Of a mount that has a lease of this number. */
function under(lseq: number, session: { sid?: number; sepoch?: number } = {}): FileRight {
  const { sid = SID, sepoch = 1 } = session;
  return { ...right(0), sid: asSessionId(sid), sepoch: asEpoch(sepoch), lseq };
}

function write(fixture: HomeFixture, mine: FileRight, text: string): Promise<void> {
  return fixture.home.write(mine, FILE, { offset: 0, data: Buffer.from(text) });
}

describe('an evicted session', () => {
  it('neither writes nor cuts any more, and others do', async () => {
    const fixture = new HomeFixture();
    await write(fixture, under(7), 'before');
    await fixture.home.fence(SID, 2);
    await assert.rejects(write(fixture, under(7), 'LATE'), isLate);
    await assert.rejects(fixture.home.cutFor({ ...under(7), cuts: 1 }, FILE, 2), isLate);
    assert.equal(await fixture.seen(0), 'before');
    await write(fixture, under(8, { sid: 4 }), 'others');
    await write(fixture, under(9, { sepoch: 2 }), 'again!');
    assert.equal(await fixture.seen(0), 'again!');
  });

  it('is fenced when what it was let in for before is done', async () => {
    const fixture = new HomeFixture();
    fixture.home.created(FILE);
    const gate = deferred<void>();
    fixture.store.beforeCommit = () => gate.promise;
    const writing = write(fixture, under(7), 'under way');
    await nextTurns(1);
    let isFenced = false;
    const fencing = fixture.home.fence(SID, 2).then(() => {
      isFenced = true;
    });
    await nextTurns(2);
    assert.equal(isFenced, false);
    gate.resolve();
    await Promise.all([writing, fencing]);
    assert.equal(await fixture.stored(), 'under way');
  });

  it('does not write what waited for the metaserver when it was fenced', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const writing = write(fixture, under(7), 'LATE');
    await nextTurns(1);
    const fencing = fixture.home.fence(SID, 2);
    gate.resolve();
    await assert.rejects(writing, isLate);
    await fencing;
    assert.equal(await fixture.stored(), '');
  });

  it('is fenced though what it was let in for fails', async () => {
    const fixture = new HomeFixture();
    fixture.home.created(FILE);
    const gate = deferred<void>();
    fixture.store.beforeCommit = () => gate.promise;
    const writing = write(fixture, under(7), 'lost');
    const fencing = fixture.home.fence(SID, 2);
    gate.reject(new FsError('EIO', 'a bad disk'));
    await assert.rejects(writing, { code: 'EIO' });
    await fencing;
  });
});

describe('a session that goes on in another process', () => {
  async function read({ home }: HomeFixture, mine: FileRight): Promise<void> {
    const run = { chunk: 0, blockFirst: 0, blockEnd: 1 };
    await home.read(mine, FILE, run, Buffer.alloc(65_536));
  }

  it('neither writes nor cuts from the one before, once the home has met its epoch', async () => {
    const fixture = new HomeFixture();
    await write(fixture, under(7), 'before');
    await write(fixture, under(7, { sepoch: 2 }), 'newest');
    await assert.rejects(write(fixture, under(7), 'LATE'), isLate);
    await assert.rejects(fixture.home.cutFor({ ...under(8), cuts: 1 }, FILE, 2), isLate);
    await write(fixture, under(7, { sepoch: 2 }), 'again!');
    assert.equal(await fixture.seen(0), 'again!');
  });

  it('is met by reads too, and by what is refused for another reason', async () => {
    const fixture = new HomeFixture();
    await write(fixture, under(7), 'before');
    await read(fixture, under(7, { sepoch: 2 }));
    await assert.rejects(write(fixture, under(7), 'LATE'), isLate);
    await write(fixture, under(9, { sid: 4 }), 'others');
    await assert.rejects(write(fixture, under(8, { sid: 5, sepoch: 3 }), 'LATE'), isLate);
    await assert.rejects(write(fixture, under(9, { sid: 5, sepoch: 2 }), 'LATE'), isLate);
    assert.equal(await fixture.seen(0), 'others');
  });

  it('does not write what waited for the metaserver when the home met its next process', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const writing = write(fixture, under(7), 'LATE');
    const reading = read(fixture, under(7, { sepoch: 2 }));
    await nextTurns(1);
    gate.resolve();
    await assert.rejects(writing, isLate);
    await reading;
    assert.equal(await fixture.stored(), '');
  });

  it('is fenced in every process of before when it is evicted', async () => {
    const fixture = new HomeFixture();
    await fixture.home.fence(SID, 3);
    for (const sepoch of [1, 2]) {
      await assert.rejects(write(fixture, under(7, { sepoch }), 'LATE'), isLate);
    }
    assert.equal(await fixture.stored(), '');
  });
});

describe('a write under an older lease', () => {
  it('is refused once somebody has written under a younger one', async () => {
    const fixture = new HomeFixture();
    await write(fixture, under(7), 'first');
    await write(fixture, under(8, { sid: 4 }), 'second');
    await assert.rejects(write(fixture, under(7), 'LATE'), isLate);
    await write(fixture, under(8, { sid: 4 }), 'same ok');
    assert.equal(await fixture.seen(0), 'same ok');
  });

  it('is refused once somebody has read under a younger one', async () => {
    const fixture = new HomeFixture();
    await write(fixture, under(7), 'first');
    const target = Buffer.alloc(65_536);
    const run = { chunk: 0, blockFirst: 0, blockEnd: 1 };
    await fixture.home.read(under(8, { sid: 4 }), FILE, run, target);
    await assert.rejects(write(fixture, under(7), 'LATE'), isLate);
    assert.equal(await fixture.seen(0), 'first');
  });

  it('is refused once the mount of this node works under a younger one', async () => {
    const fixture = new HomeFixture();
    await write(fixture, under(7), 'first');
    fixture.home.follow(FILE, 8);
    await assert.rejects(write(fixture, under(7), 'LATE'), isLate);
    await assert.rejects(fixture.home.cutFor({ ...under(7), cuts: 1 }, FILE, 2), isLate);
    assert.equal(await fixture.seen(0), 'first');
  });

  it('is refused too when it waited for the metaserver meanwhile', async () => {
    const fixture = new HomeFixture();
    const gate = deferred<void>();
    fixture.onFetch = () => gate.promise;
    const writing = write(fixture, under(7), 'LATE');
    await nextTurns(1);
    fixture.home.follow(FILE, 8);
    gate.resolve();
    await assert.rejects(writing, isLate);
    assert.equal(await fixture.stored(), '');
  });
});
