/** Requests that no namespace is needed for: about the cluster, its peers and its sessions. */
import type * as wire from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import type { ClusterId, Ino } from '../common/ids.ts';
import type { Evictions } from './evictions.ts';
import type { Ledger } from './ledger.ts';
import type { Membership } from './membership.ts';
import type { Session } from './session.ts';
import { EMPTY_RESULT, fenceOf, inoOf, inosOf, integer, type Result } from './wire.ts';

export type AdminOp = Extract<
  NonNullable<wire.Request['op']>,
  {
    $case:
      | 'statfs'
      | 'peerReport'
      | 'clusterStatus'
      | 'leave'
      | 'dialBackDone'
      | 'fenced'
      | 'waits'
      | 'inspect'
      | 'fsck'
      | 'backingFiles';
  }
>;

export interface AdminParts {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly ledger: Ledger;
  readonly membership: Membership;
  readonly evictions: Pick<Evictions, 'confirmed'>;
  readonly problems: () => wire.Problem[];
  /** Ends the session, soon. */
  readonly leave: (session: Session) => void;
  /** Of operations of the asking session, by the ids of their requests. @throws FsError EINVAL */
  readonly waits: (ids: readonly bigint[]) => wire.WaitsReply;
  /** @throws FsError ENOENT */
  readonly inspect: (ino: Ino) => wire.InspectReply;
  /** @throws FsError ENOENT · EIO */
  readonly fsck: (run: number) => wire.FsckReply;
  /** Of backing files of the asking node those that belong to no file. */
  readonly strays: (session: Session, inos: readonly Ino[]) => Ino[];
}

/** @throws FsError EINVAL what a session of this kind does not say */
export function administer(parts: AdminParts, session: Session, op: AdminOp): Result {
  const { evictions, ledger, membership } = parts;
  switch (op.$case) {
    case 'statfs':
      return { $case: 'statfs', value: { files: BigInt(ledger.inodes) } };
    case 'peerReport':
      if (session.kind !== 'peer') throw new FsError('EINVAL', 'only a peer reports its space');
      membership.report(session, op.value);
      return EMPTY_RESULT;
    case 'dialBackDone':
      if (session.kind !== 'peer') throw new FsError('EINVAL', 'only a peer dials others');
      membership.dialBackDone(session, op.value);
      return EMPTY_RESULT;
    case 'fenced':
      if (session.kind !== 'peer') throw new FsError('EINVAL', 'only a peer refuses sessions');
      evictions.confirmed(session.nodeId, fenceOf(op.value));
      return EMPTY_RESULT;
    case 'leave':
      parts.leave(session);
      return EMPTY_RESULT;
    case 'waits':
      return { $case: 'waits', value: parts.waits(op.value.ids) };
    case 'inspect':
      return { $case: 'inspect', value: parts.inspect(inoOf(op.value.ino)) };
    case 'fsck':
      return { $case: 'fsck', value: parts.fsck(integer(op.value.run, 'the number of a check')) };
    case 'backingFiles': {
      const strays = parts.strays(session, inosOf(op.value.inos));
      return { $case: 'backingFiles', value: { strays: strays.map((ino) => BigInt(ino)) } };
    }
    case 'clusterStatus':
      return {
        $case: 'clusterStatus',
        value: {
          clusterId: Buffer.from(parts.clusterId, 'hex'),
          clusterName: parts.clusterName,
          peers: membership.status(),
          inodes: BigInt(ledger.inodes),
          reclaimPending: BigInt(ledger.reclaimPending),
          problems: parts.problems(),
        },
      };
  }
}
