import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SpaceLedger } from '../../../../src/peer/core/grants.ts';
import { Random } from '../../../support/random.ts';
import { ino } from '../../../support/store-helpers.ts';

const MIB = 1024 ** 2;
const A = ino(2001);
const B = ino(2002);
const C = ino(2003);

function ledger(freeBytes: number): SpaceLedger {
  const space = new SpaceLedger();
  space.measured(freeBytes);
  return space;
}

describe('space grants', () => {
  it('start at 1 MiB and double with use up to 64 MiB', () => {
    const space = ledger(10_000 * MIB);
    const seen: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      space.charge(A, space.outstandingBytes + 1);
      seen.push((space.outstandingBytes + 1) / MIB);
    }
    assert.deepEqual(seen.slice(0, 2), [1, 2]);
    assert.ok(Math.max(...seen) <= 64 && seen.includes(64));
  });

  it('cover what is needed and no more when space is short', () => {
    const space = ledger(MIB / 2);
    assert.ok(space.charge(A, 1000));
    assert.equal(space.outstandingBytes, 0);
    assert.equal(space.charge(A, MIB / 2), false);
    assert.ok(space.charge(A, MIB / 2 - 1000));
    assert.equal(space.charge(A, 1), false);
    assert.ok(space.charge(A, 0));
  });

  it('are taken back from those idle longest', () => {
    const space = ledger(2.5 * MIB);
    assert.ok(space.charge(A, 1));
    assert.ok(space.charge(B, 1));
    assert.equal(space.outstandingBytes, 2 * MIB - 2);
    assert.ok(space.charge(C, MIB));
    assert.equal(space.outstandingBytes, MIB - 1);
    assert.ok(space.charge(B, MIB - 1));
    assert.equal(space.outstandingBytes, 0);
  });

  it('end when released, and when less is free than was thought', () => {
    const space = ledger(100 * MIB);
    assert.ok(space.charge(A, 1));
    space.release(A);
    space.release(A);
    assert.equal(space.outstandingBytes, 0);
    assert.ok(space.charge(B, 1));
    space.measured(10);
    assert.equal(space.outstandingBytes, 0);
    assert.ok(space.charge(B, 10));
    assert.equal(space.charge(B, 1), false);
    space.measured(MIB);
    assert.ok(space.charge(B, 100));
  });

  it('never promise more than there is', () => {
    const random = Random.fromEnvironment();
    const space = ledger(0);
    let free = 0;
    for (let step = 0; step < 20_000; step += 1) {
      const file = ino(3000 + random.below(6));
      const bytes = random.below(random.pick([100, MIB, 20 * MIB]));
      if (random.chance(0.02)) {
        free = random.below(200 * MIB);
        space.measured(free);
      } else if (random.chance(0.05)) space.release(file);
      else if (space.charge(file, bytes)) free -= bytes;
      else assert.ok(bytes > free, `seed ${random.seed} step ${step}`);
      const sum = space.outstandingBytes;
      assert.ok(sum >= 0 && free >= 0 && sum <= free, `seed ${random.seed} step ${step}`);
    }
  });
});
