/**
 * Names who stands in the way of operations that wait for leases, for `dfs status` of the node that
 * asks. It only looks: nobody is called, and nothing is put off.
 */
import { ObstacleKind, type WaitsReply, type Obstacle as WireObstacle } from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import { type Obstacle, obstaclesOf } from './core/lease-waits.ts';
import type { Eviction, Evictions } from './evictions.ts';
import type { LeaseDesk } from './lease-desk.ts';
import type { Membership } from './membership.ts';
import type { Session } from './session.ts';
import type { SessionTable } from './session-table.ts';

export interface WhoWaitsParts {
  readonly desk: Pick<LeaseDesk, 'table' | 'waiting'>;
  readonly evictions: Pick<Evictions, 'find'>;
  readonly membership: Pick<Membership, 'nameOf'>;
  readonly table: Pick<SessionTable, 'find'>;
  /** Boot milliseconds. */
  readonly nowMs: number;
}

const IDS_MAX = 64;
const OBSTACLES_MAX = 8;

const KINDS = {
  holder: ObstacleKind.HOLDER,
  earlier: ObstacleKind.EARLIER,
  unsettled: ObstacleKind.UNSETTLED,
} as const;

/** @throws FsError EINVAL too many at a time */
export function whoWaits(
  parts: WhoWaitsParts,
  session: Session,
  ids: readonly bigint[],
): WaitsReply {
  if (ids.length > IDS_MAX) throw new FsError('EINVAL', `over ${IDS_MAX} operations at a time`);
  const operations = ids.flatMap((id) => {
    const waiting = parts.desk.waiting(session, id);
    if (waiting === undefined) return [];
    const found = obstaclesOf(parts.desk.table, waiting);
    const named = found.slice(0, OBSTACLES_MAX);
    const obstacles = named.map((obstacle) => toWire(parts, session, obstacle));
    return [{ id, obstacles, more: found.length - named.length }];
  });
  return { operations };
}

function toWire(parts: WhoWaitsParts, asker: Session, obstacle: Obstacle): WireObstacle {
  const { evictions, membership, nowMs, table } = parts;
  const { kind, sid } = obstacle;
  const eviction = evictions.find(sid);
  const nodeId = eviction?.nodeId ?? table.find(sid)?.nodeId;
  const sinceMs = kind === 'holder' ? obstacle.sinceMs : undefined;
  const plain: WireObstacle = {
    kind: KINDS[kind],
    nodeName: nodeId === undefined ? '' : membership.nameOf(nodeId),
    own: sid === asker.sid,
    ino: kind === 'unsettled' ? 0n : BigInt(obstacle.ino),
    recalledMs: BigInt(Math.round(nowMs - (sinceMs ?? nowMs))),
    homes: [],
    restMs: 0n,
  };
  return eviction === undefined ? plain : { ...plain, ...fallOf(parts, eviction) };
}

/** What the leases of an evicted session still wait for. */
function fallOf(
  { membership, nowMs }: WhoWaitsParts,
  { homes, untilMs }: Eviction,
): Pick<WireObstacle, 'kind' | 'homes' | 'restMs'> {
  return {
    kind: ObstacleKind.EVICTED,
    homes: [...homes].slice(0, OBSTACLES_MAX).map((nodeId) => membership.nameOf(nodeId)),
    restMs: BigInt(Math.max(0, Math.round(untilMs - nowMs))),
  };
}
