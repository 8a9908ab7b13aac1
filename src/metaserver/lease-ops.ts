/** Which leases each operation of a mount needs, and which its reply brings. */
import type * as wire from '../../gen/meta.ts';
import { type Attr, isRegular } from '../common/attr.ts';
import { FsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import type { Grant, LeaseKind } from '../common/lease.ts';
import { nameFromBytes } from '../common/name.ts';
import {
  changeClaims,
  leaseClaims,
  lookupClaims,
  readClaims,
  settledClaims,
} from './core/claims.ts';
import type { Claim, LeaseTable, Release } from './core/leases.ts';
import { attrOf } from './core/records.ts';
import type { Txn } from './core/txn.ts';
import type { Session } from './session.ts';
import { inoOf, integer, type Result } from './wire.ts';

type Op = NonNullable<wire.Request['op']>;

const RELEASES_MAX = 4096;
/** Their replies bring a shared lease on what they show. */
const LOOKS: ReadonlySet<string> = new Set(['lookup', 'getattr', 'link']);

export interface ReleaseMessage extends Release {
  /** Not given up yet: the mount works on it. */
  readonly progress: boolean;
}

/** What it needs to run now; nothing for what is no business of leases. */
export function claimsOf(txn: Txn, op: Op | undefined): Claim[] {
  switch (op?.$case) {
    case 'lookup':
      return lookupClaims(txn, place(op.value));
    case 'getattr':
      return op.value.committed === true ? [] : readClaims(txn, inoOf(op.value.ino));
    case 'lease':
      return leaseClaims(inoOf(op.value.ino), kindOf(op.value.exclusive));
    case 'setattr':
      return changeClaims(txn, [inoOf(op.value.ino)]);
    case 'make': {
      const entry = txn.entry(inoOf(op.value.parent), nameFromBytes(op.value.name));
      if (entry !== undefined) return readClaims(txn, entry.ino);
      return changeClaims(txn, [inoOf(op.value.parent)]);
    }
    case 'remove':
      return changeClaims(txn, [], [place(op.value)]);
    case 'link':
      return changeClaims(txn, [inoOf(op.value.ino), inoOf(op.value.newParent)]);
    case 'rename': {
      const { newParent, newName } = op.value;
      return changeClaims(txn, [], [place(op.value), place({ parent: newParent, name: newName })]);
    }
    case 'lock':
      return op.value.again ? [] : settledClaims();
    case 'testLock':
      return settledClaims();
    case 'unlock':
    case 'cancelLock':
    case 'listLocks':
    case 'returnLocks':
    case 'readlink':
    case 'readdir':
    case 'flushAttr':
    case 'closeUnlinked':
    case 'release':
    case 'glimpsed':
    case 'settled':
    case 'fenced':
    case 'statfs':
    case 'reclaimDone':
    case 'peerReport':
    case 'clusterStatus':
    case 'dialBackDone':
    case 'leave':
    case 'waits':
    case 'inspect':
    case 'fsck':
    case 'backingFiles':
    case undefined:
      return [];
  }
}

export interface Wanted {
  readonly ino: Ino;
  readonly kind: LeaseKind;
  /** It waited for it. */
  readonly turn: boolean;
  /** The result has no attributes of it. */
  readonly withAttr: boolean;
}

/** A lease that goes with a reply. */
export interface TakenGrant extends Grant {
  readonly ino: Ino;
  /** Where the result has none of it. */
  readonly attr: Attr | undefined;
}

/** Taken at the moment the operation ran. */
export function takeGrants(
  table: LeaseTable,
  session: Session,
  wanted: readonly Wanted[],
  txn: Txn,
): TakenGrant[] {
  const grants: TakenGrant[] = [];
  for (const { ino, kind, turn, withAttr } of wanted) {
    const inode = txn.inode(ino);
    if (inode === undefined) continue;
    const grant = table.grant(session.sid, ino, kind, turn);
    if (grant === undefined) continue;
    grants.push({ ...grant, ino, attr: withAttr ? attrOf(ino, inode) : undefined });
  }
  return grants;
}

/** @param result undefined when it failed */
export function wantedOf({ noGrant, op }: wire.Request, result: Result | undefined): Wanted[] {
  const own = noGrant === true ? undefined : aboutOf(result);
  const wanted = own === undefined ? [] : wantedOfOwn(own, op, result);
  if (op?.$case !== 'lookup' || op.value.grantParent !== true) return wanted;
  const parent = { ino: inoOf(op.value.parent), kind: 'shared', turn: false } as const;
  return [{ ...parent, withAttr: true }, ...wanted];
}

/** On the inode the operation is about. */
function wantedOfOwn(ino: Ino, op: Op | undefined, result: Result | undefined): Wanted[] {
  const shared = { ino, kind: 'shared', turn: false, withAttr: false } as const;
  if (op === undefined) return [];
  if (op.$case === 'lease') return [{ ...shared, kind: kindOf(op.value.exclusive), turn: true }];
  if (op.$case === 'make' && result?.$case === 'make') {
    const written = !result.value.existed && isRegular(result.value.attr?.mode ?? 0);
    return [{ ...shared, kind: written ? 'exclusive' : 'shared' }];
  }
  return LOOKS.has(op.$case) ? [shared] : [];
}

/** For a page of a directory that is still as it was read. */
export function wantedByPage(dir: Ino, inos: readonly Ino[]): Wanted[] {
  const shared = { kind: 'shared', turn: false } as const;
  return [
    { ...shared, ino: dir, withAttr: true },
    ...inos.map((ino) => ({ ...shared, ino, withAttr: false })),
  ];
}

/** @throws FsError EINVAL */
export function releasesOf({ leases }: wire.ReleaseRequest): ReleaseMessage[] {
  if (leases.length > RELEASES_MAX) {
    throw new FsError('EINVAL', `over ${RELEASES_MAX} leases in one release`);
  }
  return leases.map(({ ino, lseq, keepShared, open, progress }) => ({
    ino: inoOf(ino),
    lseq: integer(lseq, 'a lease number'),
    keep: keepShared ? 'shared' : 'nothing',
    open,
    progress,
  }));
}

function kindOf(exclusive: boolean): LeaseKind {
  return exclusive ? 'exclusive' : 'shared';
}

function place(value: { readonly parent: bigint; readonly name: Uint8Array }): {
  readonly parent: Ino;
  readonly name: string;
} {
  return { parent: inoOf(value.parent), name: nameFromBytes(value.name) };
}

/** The inode a result is about; of a removal or a rename nobody wants to know. */
function aboutOf(result: Result | undefined): Ino | undefined {
  if (result?.$case !== 'attr' && result?.$case !== 'make' && result?.$case !== 'link') {
    return undefined;
  }
  return result.value.attr === undefined ? undefined : inoOf(result.value.attr.ino);
}
