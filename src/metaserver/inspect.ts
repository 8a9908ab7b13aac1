/** What `dfs info` tells of an inode: where it lies, and which mounts have to do with it. */
import type { InspectReply } from '../../gen/meta.ts';
import { isRegular } from '../common/attr.ts';
import { FsError } from '../common/errno.ts';
import type { Ino, NodeId, SessionId } from '../common/ids.ts';
import { attrToWire } from '../common/rpc/codec.ts';
import { attrOf } from './core/records.ts';
import type { Txn } from './core/txn.ts';
import type { LeaseDesk } from './lease-desk.ts';
import type { LockDesk } from './lock-desk.ts';
import type { Membership } from './membership.ts';
import type { Roster } from './roster.ts';
import type { SessionTable } from './session-table.ts';

export interface InspectParts {
  readonly desk: Pick<LeaseDesk, 'table'>;
  readonly locks: Pick<LockDesk, 'of'>;
  readonly membership: Pick<Membership, 'isUp' | 'nameOf'>;
  readonly roster: Pick<Roster, 'groups'>;
  readonly table: Pick<SessionTable, 'find'>;
}

/** It only looks: nobody is called. @throws FsError ENOENT */
export function inspect(parts: InspectParts, txn: Txn, ino: Ino): InspectReply {
  const inode = txn.inode(ino);
  if (inode === undefined) throw new FsError('ENOENT', `there is no inode ${ino}`);
  const { desk, locks, membership, roster, table } = parts;
  const name = (nodeId: NodeId | undefined): string =>
    nodeId === undefined ? '' : membership.nameOf(nodeId);
  const mount = (sid: SessionId): string => name(table.find(sid)?.nodeId);
  const group = isRegular(inode.mode) ? roster.groups.get(inode.rg) : undefined;
  const locked = locks.of(ino);
  return {
    attr: attrToWire(attrOf(ino, inode)),
    rg: BigInt(group === undefined ? 0 : inode.rg),
    rgEpoch: BigInt(group?.epoch ?? 0),
    homeName: name(group?.primary),
    homeUp: group?.primary !== undefined && membership.isUp(group.primary),
    leases: [...(desk.table.at(ino)?.holders ?? [])].map(([sid, { kind, recall }]) => ({
      nodeName: mount(sid),
      exclusive: kind === 'exclusive',
      recalled: recall !== undefined,
    })),
    openers: desk.table.openers(ino).map(mount),
    locks: locked.held,
    waitingLocks: locked.waiting,
    lockDecider: locked.decider === undefined ? '' : mount(locked.decider),
  };
}
