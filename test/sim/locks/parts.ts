/** The code under test, and what a mutation may put in its place. */
import type { Operation, SessionClient } from '../../../src/common/rpc/session-client.ts';
import type { Claim } from '../../../src/metaserver/core/leases.ts';
import type { Txn } from '../../../src/metaserver/core/txn.ts';
import { claimsOf } from '../../../src/metaserver/lease-ops.ts';
import { LockDesk, type LockDeskOptions } from '../../../src/metaserver/lock-desk.ts';
import { MountLeases } from '../../../src/mount/mount-leases.ts';
import { type Change, compiled, copyOf, instead } from '../copies.ts';

export interface Parts {
  /** Over lines of the simulated network. */
  readonly sessionClient: typeof SessionClient;
  readonly mountLeases: typeof MountLeases;
  lockDesk(options: LockDeskOptions): LockDesk;
  /** What an operation waits for before it runs at the metaserver. */
  claims(op: Operation): readonly Claim[];
  /** The locks of an evicted session fall behind the fence. */
  readonly fences: boolean;
  /** The locks of a process that another one follows fall. */
  readonly dropsAtHandOver: boolean;
}

/** Operations about locks look at nothing that is stored. */
const NOTHING_STORED = undefined as unknown as Txn;

/** The session client of the product, but for the lines it dials. */
export async function sessionClient(...changes: Change[]): Promise<typeof SessionClient> {
  const line = instead(compiled('common/rpc/line.js'), new URL('./line.js', import.meta.url));
  const url = copyOf(compiled('common/rpc/session-client.js'), [line, ...changes]);
  const module = (await import(url)) as { SessionClient: typeof SessionClient };
  return module.SessionClient;
}

export const REAL: Parts = {
  sessionClient: await sessionClient(),
  mountLeases: MountLeases,
  lockDesk: (options) => new LockDesk(options),
  claims: (op) => claimsOf(NOTHING_STORED, op),
  fences: true,
  dropsAtHandOver: true,
};
