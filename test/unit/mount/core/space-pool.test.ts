import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asEpoch, asSessionId } from '../../../../src/common/ids.ts';
import { type PoolAsk, RELIED_ON_MS, SpacePool } from '../../../../src/mount/core/space-pool.ts';
import { Random } from '../../../support/random.ts';

const MIB = 1024 ** 2;
const ME = { sid: asSessionId(1), rgEpoch: asEpoch(1) };

/** A pool whose Reserve at time 0 was answered with all it wanted. */
function filled(bytes: number): SpacePool {
  const pool = new SpacePool();
  const ask = pool.ask(bytes, 0);
  pool.promised(ask.wantedBytes, ask, ME);
  return pool;
}

describe('a pool of promised space', () => {
  it('covers nothing at first, but what needs no space', () => {
    const pool = new SpacePool();
    assert.equal(pool.covers(1, ME, 0), false);
    assert.equal(pool.covers(0, ME, 0), true);
  });

  it('covers what was promised, less what was accepted', () => {
    const pool = filled(1000);
    assert.ok(pool.covers(1000 + MIB, ME, 0));
    pool.charge(1000);
    assert.ok(pool.covers(MIB, ME, 0));
    assert.equal(pool.covers(MIB + 1, ME, 0), false);
    pool.charge(-1000);
    assert.ok(pool.covers(1000 + MIB, ME, 0));
  });

  it('asks for what it has accepted too, and for twice as much more each time', () => {
    const pool = filled(0);
    pool.charge(MIB);
    const seen: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const ask = pool.ask(10, 0);
      assert.equal(ask.neededBytes, MIB + 10);
      seen.push((ask.wantedBytes - ask.neededBytes) / MIB);
      pool.promised(round === 1 ? ask.neededBytes : ask.wantedBytes, ask, ME);
    }
    assert.deepEqual(seen, [2, 4, 4, 8, 16, 32, 64, 64]);
  });

  it('is relied on for a while after it was asked for, not after it was answered', () => {
    const pool = new SpacePool();
    const ask = pool.ask(10, 1_000);
    pool.promised(ask.wantedBytes, ask, ME);
    assert.ok(pool.covers(1, ME, RELIED_ON_MS + 999));
    assert.equal(pool.covers(1, ME, RELIED_ON_MS + 1_000), false);
  });

  it('is void for another session, and in another life of the home', () => {
    const pool = filled(10);
    assert.equal(pool.covers(1, { ...ME, sid: asSessionId(2) }, 0), false);
    assert.equal(pool.covers(1, { ...ME, rgEpoch: asEpoch(2) }, 0), false);
  });

  it('shrinks by what arrives, also while a Reserve is under way', () => {
    const pool = filled(3000);
    pool.charge(3000);
    pool.arrived(1000);
    assert.equal(pool.chargedBytes, 2000);
    assert.equal(pool.covers(MIB + 1, ME, 0), false);
    const ask = pool.ask(MIB + 1, 0);
    pool.arrived(2000);
    pool.promised(ask.neededBytes, ask, ME);
    assert.ok(pool.covers(MIB + 1, ME, 0));
    assert.equal(pool.covers(MIB + 2, ME, 0), false);
  });
});

interface Flight {
  readonly bytes: number;
  isThere: boolean;
}

/**
 * A home that is told of things late: Reserves and transfers are under way for a while, and reach
 * it in any order. Whatever the pool covers, the home still has promised.
 */
class LateHome {
  readonly pool = new SpacePool();
  writes = 0;
  readonly #random: Random;
  #promised = 0;
  readonly #unsent: number[] = [];
  readonly #flying: Flight[] = [];
  #asking: { readonly ask: PoolAsk; got?: number } | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  get owedBytes(): number {
    const owed = [...this.#unsent, ...this.#flying.map(({ bytes }) => bytes)];
    return owed.reduce((sum, bytes) => sum + bytes, 0);
  }

  step(): void {
    const steps = [
      () => this.#write(),
      () => this.#ask(),
      () => this.#promise(),
      () => this.#hear(),
      () => this.#send(),
      () => this.#take(),
      () => this.#hearTaken(),
    ];
    this.#random.pick(steps)();
  }

  #write(): void {
    const bytes = this.#random.below(200_000);
    if (!this.pool.covers(bytes, ME, 0)) return;
    this.pool.charge(bytes);
    this.#unsent.push(bytes);
    this.writes += 1;
  }

  #ask(): void {
    const bytes = this.#random.below(2 * MIB);
    if (!this.pool.covers(bytes, ME, 0)) this.#asking ??= { ask: this.pool.ask(bytes, 0) };
  }

  #promise(): void {
    const { ask, got } = this.#asking ?? {};
    if (this.#asking === undefined || ask === undefined || got !== undefined) return;
    this.#promised = this.#random.chance(0.5) ? ask.neededBytes : ask.wantedBytes;
    this.#asking.got = this.#promised;
  }

  #hear(): void {
    const { ask, got } = this.#asking ?? {};
    if (ask === undefined || got === undefined) return;
    this.pool.promised(got, ask, ME);
    this.#asking = undefined;
  }

  #send(): void {
    const bytes = this.#unsent.shift();
    if (bytes !== undefined) this.#flying.push({ bytes, isThere: false });
  }

  #take(): void {
    const flight = this.#flying.find(({ isThere }) => !isThere);
    if (flight === undefined) return;
    assert.ok(this.#promised >= flight.bytes, 'a write was not covered');
    flight.isThere = true;
    this.#promised -= flight.bytes;
  }

  #hearTaken(): void {
    if (this.#flying[0]?.isThere === true) this.pool.arrived(this.#flying.shift()?.bytes ?? 0);
  }
}

it('never covers more than the home has promised, in whatever order things happen', (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  let writes = 0;
  for (let round = 0; round < 300; round += 1) {
    const home = new LateHome(random);
    for (let step = 0; step < 300; step += 1) {
      home.step();
      assert.equal(home.pool.chargedBytes, home.owedBytes, `round ${round} step ${step}`);
    }
    writes += home.writes;
  }
  assert.ok(writes > 1000, `${writes} writes`);
});
