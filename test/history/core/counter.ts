/**
 * A counter to which clients add under a lock that excludes all others: each reads it, writes it and
 * makes sure that it stays (fsync). Every addition leaves a value of its own and says which value it
 * read, so that the values make a chain from 0. Where two build on one value, the first of them is
 * lost. One of unknown outcome may be lost, unless one that is certain builds on it.
 *
 * That the counter is a register as well, whose reads see the last write, is judged there.
 */
import { byTime, describe, RIGHT, type Timed, type Verdict, wrong } from './history.ts';

export interface Addition extends Timed {
  /** What was read under the lock; 0 in the beginning. */
  readonly from: number;
  readonly to: number;
}

function shown(addition: Addition): string {
  return describe(addition, `added to ${addition.from}, which made it ${addition.to}`);
}

/** Those that are certain, and those that they build on. */
function happened(additions: readonly Addition[]): ReadonlySet<Addition> {
  const byValue = new Map(additions.map((addition) => [addition.to, addition]));
  const found = new Set<Addition>();
  for (const certain of additions.filter(({ optional }) => optional !== true)) {
    let next: Addition | undefined = certain;
    while (next !== undefined && !found.has(next)) {
      found.add(next);
      next = byValue.get(next.from);
    }
  }
  return found;
}

export function checkCounter(object: string, additions: readonly Addition[]): Verdict {
  const values = new Set([0, ...additions.map(({ to }) => to)]);
  const byRead = new Map<number, Addition>();
  for (const addition of [...happened(additions)].sort(byTime)) {
    if (!values.has(addition.from)) {
      return wrong(object, `${addition.from} was counted from, and nobody left it`, [
        shown(addition),
      ]);
    }
    const other = byRead.get(addition.from);
    if (other !== undefined) {
      const reason = `an addition is lost: two counted from ${addition.from}`;
      return wrong(object, reason, [other, addition].map(shown));
    }
    byRead.set(addition.from, addition);
  }
  return RIGHT;
}
