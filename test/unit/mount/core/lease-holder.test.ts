import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asIno, type Ino } from '../../../../src/common/ids.ts';
import type { LeaseKind } from '../../../../src/common/lease.ts';
import { type HolderEffect, LeaseHolder } from '../../../../src/mount/core/lease-holder.ts';

const INO = asIno(1024);
const OTHER = asIno(1025);

/** `ask shared`, `go a`, `purge all`, `release 7`. */
function textOf(effect: HolderEffect<string>): string {
  switch (effect.do) {
    case 'ask':
      return `ask ${effect.need}`;
    case 'go':
      return `go ${effect.ticket}`;
    case 'purge':
      return `purge ${effect.what}`;
    case 'flush':
      return 'flush';
    case 'release':
      return `release ${effect.lseq}${effect.keep === 'shared' ? ' to shared' : ''}`;
  }
}

/** One holder, with requests named by words. */
class Fixture {
  isWriting = false;
  readonly holder = new LeaseHolder<string>(() => this.isWriting);

  effects(): string[] {
    return this.holder.takeEffects().map(textOf);
  }

  use(need: LeaseKind, ticket: string): boolean {
    return this.holder.use(INO, need, ticket);
  }

  /** A lease of this number, with nothing under way. */
  static holding(kind: LeaseKind, lseq = 7): Fixture {
    const fixture = new Fixture();
    fixture.holder.granted(INO, { kind, lseq });
    assert.deepEqual(fixture.effects(), []);
    return fixture;
  }

  /** All that is to be done before a lease is given up is done at once. */
  finish(): string[] {
    const all: string[] = [];
    for (let more = this.effects(); more.length > 0; more = this.effects()) {
      all.push(...more);
      for (const effect of more) {
        if (effect.startsWith('purge')) this.holder.purged(INO);
        if (effect === 'flush') this.holder.flushed(INO);
      }
    }
    return all;
  }
}

describe('a request', () => {
  it('waits for a lease, and goes on with the grant', () => {
    const fixture = new Fixture();
    assert.equal(fixture.use('shared', 'a'), false);
    assert.equal(fixture.use('shared', 'b'), false);
    assert.deepEqual(fixture.effects(), ['ask shared'], 'asked once for both');
    fixture.holder.granted(INO, { kind: 'shared', lseq: 7 });
    assert.deepEqual(fixture.effects(), ['go a', 'go b']);
    fixture.holder.answered(INO);
    assert.deepEqual(fixture.effects(), []);
  });

  it('goes on at once under a lease that covers it', () => {
    const fixture = Fixture.holding('exclusive');
    assert.deepEqual([fixture.use('shared', 'a'), fixture.use('exclusive', 'b')], [true, true]);
    assert.deepEqual(fixture.effects(), []);
  });

  it('asks for more than what is held, while others go on with that', () => {
    const fixture = Fixture.holding('shared');
    assert.equal(fixture.use('exclusive', 'a'), false);
    assert.equal(fixture.use('shared', 'b'), true);
    assert.deepEqual(fixture.effects(), ['ask exclusive']);
  });

  it('asks again when the answer brought too little', () => {
    const fixture = new Fixture();
    fixture.use('shared', 'a');
    fixture.effects();
    fixture.use('exclusive', 'b');
    fixture.holder.granted(INO, { kind: 'shared', lseq: 7 });
    fixture.holder.answered(INO);
    assert.deepEqual(fixture.effects(), ['go a', 'ask exclusive']);
    fixture.holder.answered(INO);
    assert.deepEqual(fixture.effects(), ['ask exclusive'], 'the answer brought nothing');
  });

  it('asks for the exclusive lease of a file that is open for writing, also to read', () => {
    const fixture = new Fixture();
    fixture.isWriting = true;
    fixture.use('shared', 'a');
    assert.deepEqual(fixture.effects(), ['ask exclusive']);
  });

  it('is told when the lease cannot be had', () => {
    const fixture = new Fixture();
    fixture.use('shared', 'a');
    fixture.use('exclusive', 'b');
    assert.deepEqual(fixture.holder.refused(INO), ['a', 'b']);
    assert.equal(fixture.holder.count, 0);
  });

  it('can be given up while it waits, and not later', () => {
    const fixture = new Fixture();
    fixture.use('shared', 'a');
    fixture.use('shared', 'b');
    assert.equal(fixture.holder.cancel(INO, 'a'), true);
    fixture.effects();
    fixture.holder.granted(INO, { kind: 'shared', lseq: 7 });
    assert.deepEqual(fixture.effects(), ['go b']);
    assert.equal(fixture.holder.cancel(INO, 'b'), false);
  });
});

describe('a recalled lease', () => {
  it('is given up when the kernel has forgotten, users are done, and all is published', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.use('exclusive', 'a');
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.deepEqual(fixture.effects(), ['purge all']);
    assert.equal(fixture.holder.mayCache(INO), false);
    assert.equal(fixture.holder.kindOf(INO), 'exclusive', 'a is answered under it');
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.effects(), [], 'a is not answered yet');
    fixture.holder.done(INO);
    assert.deepEqual(fixture.effects(), ['flush']);
    fixture.holder.flushed(INO);
    assert.deepEqual(fixture.effects(), ['release 7']);
    assert.equal(fixture.holder.kindOf(INO), undefined);
  });

  it('keeps new requests back, which then ask anew', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.equal(fixture.use('shared', 'a'), false);
    assert.deepEqual(fixture.finish(), ['purge all', 'flush', 'release 7', 'ask shared']);
  });

  it('does not matter twice', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.deepEqual(fixture.finish(), ['purge all', 'flush', 'release 7']);
  });

  it('leaves the right to read where that is enough, and only attributes are forgotten', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'shared');
    fixture.use('shared', 'a');
    assert.deepEqual(fixture.finish(), [
      'purge attributes',
      'flush',
      'release 7 to shared',
      'go a',
    ]);
    assert.deepEqual([fixture.holder.kindOf(INO), fixture.holder.mayCache(INO)], ['shared', true]);
  });

  it('leaves nothing of a file that is open for writing', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.isWriting = true;
    fixture.holder.recalled(INO, 7, 'shared');
    assert.deepEqual(fixture.finish(), ['purge all', 'flush', 'release 7']);
  });

  it('goes altogether when that is called for while it becomes a shared one', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'shared');
    assert.deepEqual(fixture.effects(), ['purge attributes']);
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.deepEqual(fixture.effects(), ['purge all']);
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.effects(), [], 'the first round forgot too little');
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.finish(), ['flush', 'release 7']);
  });

  it('is let go of at once where it is shared already, and that may stay', () => {
    const fixture = Fixture.holding('shared');
    fixture.holder.recalled(INO, 7, 'shared');
    assert.deepEqual(fixture.effects(), ['release 7 to shared']);
    assert.equal(fixture.holder.kindOf(INO), 'shared');
  });

  it('that was replaced by a newer grant means nothing', () => {
    const fixture = Fixture.holding('exclusive', 8);
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.deepEqual(fixture.effects(), []);
    assert.ok(fixture.holder.mayCache(INO));
  });

  it('that nobody knows of here is answered all the same, after a publication', () => {
    const fixture = new Fixture();
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.deepEqual(fixture.finish(), ['flush', 'release 7']);
    assert.equal(fixture.holder.count, 0);
  });

  it('by the number of a grant that never came takes all that is held', () => {
    const fixture = Fixture.holding('exclusive', 7);
    fixture.holder.recalled(INO, 9, 'shared');
    assert.deepEqual(fixture.finish(), ['purge all', 'flush', 'release 9']);
  });
});

describe('a kernel that takes long to forget', () => {
  it('is answered what waits here, and forgets that as well', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.use('shared', 'page');
    assert.deepEqual(fixture.effects(), ['purge all']);
    fixture.holder.slow(INO);
    assert.deepEqual(fixture.effects(), ['go page']);
    fixture.holder.done(INO);
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.effects(), ['purge all'], 'it was told more meanwhile');
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.finish(), ['flush', 'release 7']);
  });

  it('is not answered what the lease does not cover', () => {
    const fixture = Fixture.holding('shared');
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.use('exclusive', 'write');
    fixture.holder.slow(INO);
    assert.deepEqual(fixture.finish(), ['purge all', 'flush', 'release 7', 'ask exclusive']);
  });
});

describe('a grant', () => {
  it('that comes late, after what it granted was given up, is void', () => {
    const fixture = Fixture.holding('exclusive', 9);
    fixture.holder.recalled(INO, 9, 'nothing');
    fixture.finish();
    fixture.holder.granted(INO, { kind: 'exclusive', lseq: 8 });
    fixture.holder.granted(OTHER, { kind: 'shared', lseq: 9 });
    assert.deepEqual(
      [fixture.holder.kindOf(INO), fixture.holder.kindOf(OTHER)],
      [undefined, undefined],
    );
    fixture.holder.granted(INO, { kind: 'shared', lseq: 10 });
    assert.equal(fixture.holder.kindOf(INO), 'shared');
  });

  it('older than what is held is void', () => {
    const fixture = Fixture.holding('exclusive', 9);
    fixture.holder.granted(INO, { kind: 'shared', lseq: 8 });
    assert.deepEqual([fixture.holder.kindOf(INO), fixture.holder.lseqOf(INO)], ['exclusive', 9]);
  });

  it('of a shared lease is sent back at once for a file that is open for writing', () => {
    const fixture = new Fixture();
    fixture.isWriting = true;
    fixture.holder.granted(INO, { kind: 'shared', lseq: 7 });
    assert.deepEqual(fixture.effects(), ['release 7']);
    assert.equal(fixture.holder.kindOf(INO), undefined);
  });

  it('of a shared lease is enough for a read that came when the file was open for writing', () => {
    const fixture = new Fixture();
    fixture.isWriting = true;
    assert.equal(fixture.use('shared', 'a'), false);
    assert.deepEqual(fixture.effects(), ['ask exclusive']);
    fixture.isWriting = false;
    fixture.holder.granted(INO, { kind: 'shared', lseq: 7 });
    assert.deepEqual(fixture.effects(), ['go a']);
  });
});

describe('the end of all leases', () => {
  it('leaves nothing to rely on, and remembers the numbers they were written under', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.granted(OTHER, { kind: 'shared', lseq: 8 });
    assert.deepEqual(fixture.holder.expire(), [INO, OTHER]);
    assert.deepEqual([fixture.holder.kindOf(INO), fixture.holder.lseqOf(INO)], [undefined, 7]);
    assert.equal(fixture.use('shared', 'a'), false);
    assert.deepEqual(fixture.effects(), ['ask shared']);
  });

  it('does not wait for the kernel: who called is answered when all is published', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'nothing');
    assert.deepEqual(fixture.effects(), ['purge all']);
    fixture.holder.expire();
    assert.deepEqual(fixture.effects(), ['flush']);
    fixture.holder.flushed(INO);
    assert.deepEqual(fixture.effects(), ['release 7']);
  });

  it('waits for who was let on before', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.use('exclusive', 'a');
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.holder.expire();
    assert.deepEqual(fixture.effects(), ['purge all']);
    fixture.holder.done(INO);
    assert.deepEqual(fixture.effects(), ['flush']);
  });
});

describe('a metaserver that began anew', () => {
  it('lets requests go on under what ran out, until this mount has let go', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.expire();
    fixture.use('exclusive', 'a');
    assert.deepEqual(fixture.effects(), ['ask exclusive']);
    assert.deepEqual(fixture.holder.restarted(), [INO]);
    assert.deepEqual(fixture.holder.serveLost(), [INO]);
    assert.deepEqual(fixture.holder.serveLost(), []);
    assert.deepEqual(fixture.effects(), ['go a']);
    assert.equal(fixture.holder.lseqOf(INO), 7);
    fixture.holder.endLost();
    fixture.use('shared', 'b');
    assert.deepEqual(fixture.holder.serveLost(), []);
    assert.deepEqual(fixture.holder.restarted(), []);
  });

  it('lets nothing go on that needs more than was held', () => {
    const fixture = Fixture.holding('shared');
    fixture.use('exclusive', 'a');
    fixture.holder.restarted();
    assert.deepEqual(fixture.holder.serveLost(), []);
  });

  it('has nothing to do with what was given up before', () => {
    const fixture = Fixture.holding('shared');
    fixture.holder.granted(OTHER, { kind: 'shared', lseq: 8 });
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.finish();
    fixture.use('shared', 'a');
    assert.deepEqual(fixture.holder.restarted(), [OTHER]);
    assert.deepEqual(fixture.holder.serveLost(), []);
  });

  it('waits for no answer to a recall of before', () => {
    const fixture = Fixture.holding('shared');
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.use('shared', 'a');
    assert.deepEqual(fixture.effects(), ['purge all']);
    assert.deepEqual(fixture.holder.restarted(), [INO]);
    assert.deepEqual(fixture.effects(), ['ask shared']);
    assert.deepEqual(fixture.holder.serveLost(), [INO]);
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.effects(), ['go a']);
  });
});

describe('an eviction', () => {
  it('ends recalls too, and who waits asks in the next session', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.recalled(INO, 7, 'nothing');
    fixture.use('exclusive', 'a');
    fixture.holder.expire();
    assert.deepEqual(fixture.effects(), ['purge all', 'flush']);
    fixture.holder.evicted();
    assert.deepEqual(fixture.effects(), ['ask exclusive']);
    fixture.holder.granted(INO, { kind: 'exclusive', lseq: 9 });
    assert.deepEqual(fixture.effects(), ['go a']);
    fixture.holder.flushed(INO);
    fixture.holder.purged(INO);
    assert.deepEqual(fixture.effects(), [], 'nobody called for the lease of now');
    assert.equal(fixture.holder.kindOf(INO), 'exclusive');
  });

  it('leaves nothing that requests may go on under', () => {
    const fixture = Fixture.holding('shared');
    fixture.use('shared', 'user');
    assert.deepEqual(fixture.holder.evicted(), [INO]);
    fixture.use('shared', 'a');
    assert.deepEqual(fixture.holder.serveLost(), []);
    assert.deepEqual(fixture.effects(), ['ask shared']);
  });
});

describe('a lease that nobody called for', () => {
  it('is given up on the same way', () => {
    const fixture = Fixture.holding('exclusive');
    fixture.holder.giveUp(INO, 'shared');
    assert.deepEqual(fixture.finish(), ['purge attributes', 'flush', 'release 7 to shared']);
    fixture.holder.giveUp(INO, 'shared');
    assert.deepEqual(fixture.finish(), []);
    fixture.holder.giveUp(INO, 'nothing');
    assert.deepEqual(fixture.finish(), ['purge all', 'flush', 'release 7']);
    assert.equal(fixture.holder.count, 0);
  });
});

describe('too many leases', () => {
  /** Leases on inodes from 2000 on, all granted without a request. */
  function holding(count: number): { holder: LeaseHolder<string>; inos: Ino[] } {
    const holder = new LeaseHolder<string>(() => false);
    const inos = Array.from({ length: count }, (_, index) => asIno(2_000 + index));
    for (const ino of inos) holder.granted(ino, { kind: 'shared', lseq: ino });
    return { holder, inos };
  }

  it('what was used since the last time is spared once', () => {
    const { holder, inos } = holding(4);
    const [a, b, c, d] = inos;
    assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
    assert.equal(holder.use(a, 'shared', 'read'), true);
    holder.done(a);
    assert.deepEqual(holder.coldest(2), [b, c]);
    assert.deepEqual(holder.coldest(9), [b, c, d, a]);
  });

  it('used ones go when there are no others', () => {
    const { holder, inos } = holding(3);
    for (const ino of inos) holder.use(ino, 'shared', 'read');
    assert.deepEqual(holder.coldest(2), inos.slice(0, 2));
  });

  it('what is being given up is not added to', () => {
    const { holder, inos } = holding(3);
    const [first, second] = inos;
    assert.ok(first !== undefined && second !== undefined);
    holder.giveUp(first, 'nothing');
    holder.use(first, 'shared', 'read');
    assert.deepEqual(holder.coldest(1), [first]);
    assert.deepEqual(holder.coldest(2), [first, second]);
  });
});
