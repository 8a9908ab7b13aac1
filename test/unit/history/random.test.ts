/** Random histories of objects that behave are accepted; one answer that is changed is noticed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppendCall, checkAppends } from '../../history/core/append.ts';
import type { Timed, Verdict } from '../../history/core/history.ts';
import { checkLocks, type LockCall } from '../../history/core/locks.ts';
import { checkNames, type NamesCall } from '../../history/core/names.ts';
import { type BlockCall, checkBlock } from '../../history/core/register.ts';
import { Random } from '../../support/random.ts';
import {
  randomAppends,
  randomBlock,
  randomLocks,
  randomNames,
} from '../../support/random-history.ts';

const ROUNDS = 150;
/** To shrink a wrong history of names takes a while. */
const NAMES_ROUNDS = 30;

/** Changes what one call in the second half says that it saw. */
function lie<C extends Timed>(
  random: Random,
  calls: readonly C[],
  change: (call: C) => C | undefined,
): C[] | undefined {
  const lies = calls.flatMap((call, index) => {
    const changed = index > calls.length / 2 ? change(call) : undefined;
    return changed === undefined ? [] : [{ index, changed }];
  });
  if (lies.length === 0) return undefined;
  const { index, changed } = random.pick(lies);
  return calls.map((call, at) => (at === index ? changed : call));
}

interface Kind {
  /** A history that is right, and a wrong one made of it, judged. */
  round(random: Random): { readonly right: Verdict; readonly lied: Verdict | undefined };
}

const BLOCKS: Kind = {
  round: (random) => {
    const calls = randomBlock(random);
    const values = calls.flatMap((call) => (call.kind === 'write' ? [call.value] : []));
    const early = values[Math.floor(values.length / 4)] ?? 0;
    const lied = lie(random, calls, (call): BlockCall | undefined =>
      call.kind === 'read' && call.value !== early ? { ...call, value: early } : undefined,
    );
    return { right: checkBlock('b', calls), lied: lied && checkBlock('b', lied) };
  },
};

const APPENDS: Kind = {
  round: (random) => {
    const { calls, final } = randomAppends(random);
    const lied = lie(random, calls, (call): AppendCall | undefined =>
      call.kind === 'read' && call.records.length > 4
        ? { ...call, records: call.records.slice(0, -4) }
        : undefined,
    );
    return { right: checkAppends('a', calls, final), lied: lied && checkAppends('a', lied, final) };
  },
};

const NAMES: Kind = {
  round: (random) => {
    const calls = randomNames(random);
    const lied = lie(random, calls, (call): NamesCall | undefined => {
      if (call.kind !== 'present') return undefined;
      const { client, mount, invokeNs, returnNs, name } = call;
      return { client, mount, invokeNs, returnNs, name, kind: 'absent' };
    });
    return { right: checkNames('n', calls), lied: lied && checkNames('n', lied) };
  },
};

const LOCKS: Kind = {
  round: (random) => {
    const calls = randomLocks(random);
    const lied = lie(random, calls, (call): LockCall | undefined => {
      if (call.kind !== 'lock') return undefined;
      return { ...call, outcome: call.outcome === 'refused' ? 'granted' : 'refused' };
    });
    return { right: checkLocks('l', calls).verdict, lied: lied && checkLocks('l', lied).verdict };
  },
};

for (const [what, kind, rounds, leastShare] of [
  ['blocks', BLOCKS, ROUNDS, 0.95],
  ['appended files', APPENDS, ROUNDS, 0.9],
  ['names', NAMES, NAMES_ROUNDS, 0.4],
  ['locks', LOCKS, ROUNDS, 0.3],
] as const) {
  test(`random histories of ${what}`, (t) => {
    const random = Random.fromEnvironment();
    let lies = 0;
    let found = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { right, lied } = kind.round(random);
      assert.deepEqual(right, { kind: 'right' }, `seed ${random.seed} round ${round}`);
      if (lied === undefined) continue;
      lies += 1;
      if (lied.kind === 'wrong') found += 1;
    }
    // Some lies could have been the truth: another call was under way that explains them.
    t.diagnostic(`${found} of ${lies} lies found`);
    assert.ok(
      lies > rounds / 2 && found >= lies * leastShare,
      `seed ${random.seed}: ${found} of ${lies}`,
    );
  });
}
