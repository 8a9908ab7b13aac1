import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asSessionId, type SessionId } from '../../../../src/common/ids.ts';
import { SpaceLedger } from '../../../../src/peer/core/grants.ts';
import { PROMISE_MS } from '../../../../src/peer/core/promises.ts';
import { Random } from '../../../support/random.ts';
import { ino } from '../../../support/store-helpers.ts';

const MIB = 1024 ** 2;
const A = asSessionId(1);
const B = asSessionId(2);
const FILE = ino(2001);

function ledger(freeBytes: number): SpaceLedger {
  const space = new SpaceLedger();
  space.measured(freeBytes);
  return space;
}

function exactly(bytes: number): { readonly neededBytes: number; readonly wantedBytes: number } {
  return { neededBytes: bytes, wantedBytes: bytes };
}

describe('space promised to a session', () => {
  it('is given to nobody else: neither to another session nor to a local writer', () => {
    const space = ledger(10 * MIB);
    assert.equal(space.reserve(A, exactly(9 * MIB), 0), 9 * MIB);
    assert.equal(space.reserve(B, exactly(MIB + 1), 0), undefined);
    assert.equal(space.charge(FILE, MIB + 1), false);
    assert.equal(space.charge(FILE, MIB + 1, { sid: B, promisedBytes: MIB + 1 }), false);
    assert.ok(space.charge(FILE, MIB));
    assert.ok(space.charge(FILE, 9 * MIB, { sid: A, promisedBytes: 9 * MIB }));
    assert.equal(space.outstandingBytes, 0);
  });

  it('is drawn by what was counted, and by nothing else of that session', () => {
    const space = ledger(10 * MIB);
    space.reserve(A, exactly(8 * MIB), 0);
    assert.ok(space.charge(FILE, MIB, { sid: A, promisedBytes: 0 }));
    assert.equal(space.promisedBytes(A), 8 * MIB);
    assert.ok(space.charge(FILE, 2 * MIB, { sid: A, promisedBytes: MIB }));
    assert.equal(space.promisedBytes(A), 7 * MIB);
    assert.equal(space.charge(FILE, 1, { sid: A, promisedBytes: 0 }), false);
    assert.ok(space.charge(FILE, 7 * MIB, { sid: A, promisedBytes: 8 * MIB }));
    assert.equal(space.outstandingBytes, 0);
  });

  it('is an absolute amount: a later one replaces it, one that is refused does not', () => {
    const space = ledger(10 * MIB);
    space.reserve(A, exactly(8 * MIB), 0);
    assert.equal(space.reserve(A, exactly(9 * MIB), 0), 9 * MIB);
    assert.equal(space.reserve(A, exactly(11 * MIB), 0), undefined);
    assert.equal(space.promisedBytes(A), 9 * MIB);
    assert.equal(space.reserve(A, exactly(MIB), 0), MIB);
    assert.equal(space.outstandingBytes, MIB);
  });

  it('is all that is wanted when there is plenty, and little more than is needed when not', () => {
    const ask = { neededBytes: MIB, wantedBytes: 9 * MIB };
    assert.equal(ledger(100 * MIB).reserve(A, ask, 0), 9 * MIB);
    assert.equal(ledger(9 * MIB).reserve(A, ask, 0), 2 * MIB);
    assert.equal(ledger(MIB).reserve(A, ask, 0), MIB);
  });

  it('comes before grants of idle files', () => {
    const space = ledger(4 * MIB);
    assert.ok(space.charge(FILE, 1));
    assert.equal(space.reserve(A, exactly(4 * MIB - 1), 0), 4 * MIB - 1);
  });

  it(`ends ${PROMISE_MS / 1000} s after the session was last heard of, and when it is dropped`, () => {
    const space = ledger(10 * MIB);
    space.reserve(A, exactly(MIB), 0);
    space.reserve(B, exactly(MIB), 1_000);
    space.use(A, 2_000);
    space.expire(PROMISE_MS + 999);
    assert.equal(space.outstandingBytes, 2 * MIB);
    space.expire(PROMISE_MS + 1_000);
    assert.deepEqual([space.promisedBytes(A), space.promisedBytes(B)], [MIB, 0]);
    space.use(A, PROMISE_MS + 2_000);
    assert.equal(space.outstandingBytes, 0, 'what is over is not taken up again');
    space.reserve(A, exactly(MIB), 0);
    space.unreserve(A);
    space.unreserve(B);
    assert.equal(space.outstandingBytes, 0);
    assert.ok(space.charge(FILE, MIB, { sid: A, promisedBytes: MIB }));
  });

  it('is cut when somebody else takes the space: what was used least lately first', () => {
    const space = ledger(10 * MIB);
    space.reserve(A, exactly(4 * MIB), 0);
    space.reserve(B, exactly(4 * MIB), 1);
    space.use(A, 2);
    space.measured(5 * MIB);
    assert.deepEqual([space.promisedBytes(A), space.promisedBytes(B)], [4 * MIB, MIB]);
    space.measured(3 * MIB);
    assert.deepEqual([space.promisedBytes(A), space.promisedBytes(B)], [3 * MIB, 0]);
    assert.ok(space.charge(FILE, 3 * MIB, { sid: A, promisedBytes: 3 * MIB }));
  });
});

/** A ledger, and what it should hold, worked out without it. */
class Run {
  readonly counts = { kept: 0, refused: 0, cut: 0, promised: 0 };
  readonly #random: Random;
  readonly #space = new SpaceLedger();
  #freeBytes = 0;
  readonly #promised = new Map<SessionId, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  step(): void {
    const random = this.#random;
    const sid = random.pick([A, B, asSessionId(3)]);
    const choice = random.below(20);
    if (choice === 0) this.#measure();
    else if (choice === 1) this.#drop(sid);
    else if (choice < 7) this.#reserve(sid);
    else this.#charge(sid);
    for (const [of, left] of this.#promised) assert.equal(this.#space.promisedBytes(of), left);
    assert.ok(this.#space.outstandingBytes <= this.#freeBytes);
  }

  get #sum(): number {
    return [...this.#promised.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  #bytes(): number {
    return this.#random.below(this.#random.pick([100, MIB, 20 * MIB]));
  }

  #measure(): void {
    this.#freeBytes = this.#random.below(200 * MIB);
    this.#space.measured(this.#freeBytes);
    const before = this.#sum;
    for (const of of this.#promised.keys()) this.#promised.set(of, this.#space.promisedBytes(of));
    assert.equal(this.#sum, Math.min(before, this.#freeBytes), 'no more is cut than is gone');
    this.counts.cut += before > this.#freeBytes ? 1 : 0;
  }

  #drop(sid: SessionId): void {
    this.#space.unreserve(sid);
    this.#promised.delete(sid);
  }

  #reserve(sid: SessionId): void {
    const neededBytes = this.#bytes();
    const wantedBytes = neededBytes + this.#random.below(64 * MIB);
    const others = this.#sum - (this.#promised.get(sid) ?? 0);
    const got = this.#space.reserve(sid, { neededBytes, wantedBytes }, 0);
    assert.equal(got !== undefined, neededBytes <= this.#freeBytes - others);
    if (got === undefined) return;
    assert.ok(got >= neededBytes && got <= wantedBytes);
    this.#promised.set(sid, got);
    this.counts.promised += 1;
  }

  #charge(sid: SessionId): void {
    const bytes = this.#bytes();
    const mine = this.#promised.get(sid) ?? 0;
    const promisedBytes = this.#random.chance(0.5) ? 0 : this.#random.below(bytes + 1);
    const drawn = Math.min(promisedBytes, mine);
    const file = ino(3000 + this.#random.below(6));
    const done = this.#space.charge(file, bytes, { sid, promisedBytes });
    assert.equal(done, bytes - drawn <= this.#freeBytes - this.#sum);
    this.counts[done ? 'kept' : 'refused'] += 1;
    if (!done) return;
    this.#freeBytes -= bytes;
    if (mine > 0) this.#promised.set(sid, mine - drawn);
  }
}

it('random asks, writes and other users of the disk: every promise is kept', (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  const run = new Run(random);
  for (let step = 0; step < 20_000; step += 1) run.step();
  for (const [what, count] of Object.entries(run.counts)) assert.ok(count > 50, `${what} ${count}`);
});
