/**
 * Who stands in the way of an operation that waits: what LeaseTable.admits decides, told by name and
 * without calling anybody (rules C1, C3 and C13 of docs/PROTOCOL.md).
 */
import type { Ino, SessionId } from '../../common/ids.ts';
import { conflict, covers } from '../../common/lease.ts';
import { type Claim, comesFirst, type LeaseTable, type Waiting } from './leases.ts';

export type Obstacle =
  /** It has the lease, since `sinceMs` called back; undefined: it has not been called yet. */
  | {
      readonly kind: 'holder';
      readonly sid: SessionId;
      readonly ino: Ino;
      readonly sinceMs: number | undefined;
    }
  /** An operation of it stands before this one. */
  | { readonly kind: 'earlier'; readonly sid: SessionId; readonly ino: Ino }
  /** It may hold anything since before the server started. */
  | { readonly kind: 'unsettled'; readonly sid: SessionId };

type Table = Pick<LeaseTable, 'at' | 'unsure'>;

/** Each once; none when it may run. */
export function obstaclesOf(table: Table, operation: Waiting): Obstacle[] {
  const { claims } = operation;
  if (claims.length > 0 && table.unsure.size > 0) {
    return [...table.unsure].map((sid) => ({ kind: 'unsettled', sid }));
  }
  const found = new Map<string, Obstacle>();
  for (const claim of claims) {
    for (const obstacle of inTheWay(table, operation, claim)) {
      const key = `${obstacle.kind} ${obstacle.sid} ${claim.ino}`;
      if (!found.has(key)) found.set(key, obstacle);
    }
  }
  return [...found.values()];
}

function* inTheWay(table: Table, operation: Waiting, { ino, kind }: Claim): Iterable<Obstacle> {
  const leases = table.at(ino);
  if (leases === undefined) return;
  const { asks, sid } = operation;
  const own = leases.holders.get(sid);
  // What it has is called back: it gets it anew only when it has given that up.
  if (asks && own?.recall !== undefined) {
    yield { kind: 'holder', sid, ino, sinceMs: own.recall.sinceMs };
  }
  if (covers(own?.kind, kind)) return;
  for (const [other, holder] of leases.holders) {
    if (other === sid || !conflict(holder.kind, kind)) continue;
    yield { kind: 'holder', sid: other, ino, sinceMs: holder.recall?.sinceMs };
  }
  if (!asks && kind === 'shared') return;
  for (const earlier of leases.waiting) {
    if (!comesFirst(earlier, operation, ino, kind)) continue;
    yield { kind: 'earlier', sid: earlier.sid, ino };
  }
}
