/**
 * Directories that are listed in small pieces while names in them are made, moved, exchanged and
 * removed. SEED=n replays a run.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { S_IFREG } from '../../../src/common/attr.ts';
import { FsError } from '../../../src/common/errno.ts';
import { type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { FormerPlaces } from '../../../src/metaserver/core/former-places.ts';
import { link } from '../../../src/metaserver/core/link.ts';
import { RENAME_EXCHANGE } from '../../../src/metaserver/core/rename.ts';
import { Random } from '../../support/random.ts';
import { Fixture } from './fixture.ts';

const RUNS = 300;
const STEPS = 120;
const NAMES = [...'abcdefghij'];

/** One listing under way, and what it may and must show. */
class Listing {
  readonly #fixture: Fixture;
  readonly #dir: Ino;
  readonly #shown = new Set<string>();
  /** There since it began. */
  readonly #lasting: Set<string>;
  #cookie = 0;

  constructor(fixture: Fixture, dir: Ino) {
    this.#fixture = fixture;
    this.#dir = dir;
    this.#lasting = new Set(NAMES.filter((name) => this.#has(name)));
  }

  #has(name: string): boolean {
    return this.#fixture.read((txn) => txn.entry(this.#dir, name)) !== undefined;
  }

  /** A name was changed somewhere. */
  look(): void {
    for (const name of this.#lasting) if (!this.#has(name)) this.#lasting.delete(name);
  }

  /** @returns whether there is more */
  readOn(count: number): boolean {
    const piece = this.#fixture.list(this.#dir, this.#cookie, count);
    for (const { seq, slot } of piece) {
      assert.ok(!this.#shown.has(slot.name), `${slot.name} is listed twice`);
      this.#shown.add(slot.name);
      this.#cookie = seq;
    }
    if (piece.length === count) return true;
    const missed = [...this.#lasting].filter((name) => !this.#shown.has(name));
    assert.deepEqual(missed, [], 'names that were there throughout are not listed');
    return false;
  }
}

/** One random change; what cannot be done is not. */
function change(fixture: Fixture, random: Random, dirs: readonly Ino[]): void {
  const [parent, newParent] = [random.pick(dirs), random.pick(dirs)];
  const [name, newName] = [random.pick(NAMES), random.pick(NAMES)];
  const actions = [
    () => fixture.make(name, { parent, mode: S_IFREG | 0o644 }),
    () => fixture.remove(name, { parent }),
    () => fixture.rename(name, newName, { parent, newParent }),
    () => fixture.rename(name, newName, { parent, newParent: parent }),
    () => fixture.rename(name, newName, { parent, newParent, flags: RENAME_EXCHANGE }),
    () =>
      fixture.run((txn, context) => {
        const ino = txn.entry(parent, name)?.ino ?? ROOT_INO;
        return link(txn, { ino, newParent, newName }, context);
      }),
  ];
  try {
    random.pick(actions)();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
  }
}

/** @returns how many listings came to their end */
function run(random: Random, places: FormerPlaces): number {
  const fixture = new Fixture();
  fixture.places = places;
  const dirs = [fixture.mkdir('one'), fixture.mkdir('two')];
  let listings: Listing[] = [];
  let ended = 0;
  for (let step = 0; step < STEPS; step += 1) {
    change(fixture, random, dirs);
    for (const listing of listings) listing.look();
    if (listings.length < 4) listings.push(new Listing(fixture, random.pick(dirs)));
    const before = listings.length;
    listings = listings.filter((one) => !random.chance(0.3) || one.readOn(1 + random.below(3)));
    ended += before - listings.length;
  }
  return ended;
}

describe('a listing under way', () => {
  it('shows no name twice, and each that is there throughout', (t) => {
    const { seed } = Random.fromEnvironment();
    t.diagnostic(`SEED=${seed} replays this`);
    let ended = 0;
    for (let at = 0; at < RUNS; at += 1) ended += run(new Random(seed + at), new FormerPlaces());
    t.diagnostic(`${ended} listings came to their end`);
    assert.ok(ended > RUNS);
  });

  it('would show a name twice that is removed and comes back, were its place forgotten', () => {
    const forgetful = (): void => {
      for (let seed = 1; seed <= 100; seed += 1) run(new Random(seed), new FormerPlaces(0));
    };
    assert.throws(forgetful, /is listed twice/);
  });
});
