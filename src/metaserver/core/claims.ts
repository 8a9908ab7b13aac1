/**
 * What an operation of a mount needs of which inode at the moment it runs, as names lead now: rule
 * C1 of docs/PROTOCOL.md. Only a file can be changed without the metaserver, so only a read of a
 * file claims anything. What cannot be resolved is claimed by nobody: the operation fails.
 */
import { isRegular } from '../../common/attr.ts';
import type { Ino } from '../../common/ids.ts';
import type { LeaseKind } from '../../common/lease.ts';
import type { Claim } from './leases.ts';
import type { Txn } from './txn.ts';

export interface NamePlace {
  readonly parent: Ino;
  readonly name: string;
}

/** To look at an inode. */
export function readClaims(txn: Txn, ino: Ino): Claim[] {
  const inode = txn.inode(ino);
  return inode !== undefined && isRegular(inode.mode) ? [{ ino, kind: 'shared' }] : [];
}

/** To look up a name. */
export function lookupClaims(txn: Txn, { parent, name }: NamePlace): Claim[] {
  const entry = txn.entry(parent, name);
  return entry === undefined ? [] : readClaims(txn, entry.ino);
}

/** To change these inodes, and whatever is found under these names. */
export function changeClaims(
  txn: Txn,
  inos: readonly Ino[],
  names: readonly NamePlace[] = [],
): Claim[] {
  const found = names.map(({ parent, name }) => txn.entry(parent, name)?.ino);
  const all = new Set([...inos, ...names.map(({ parent }) => parent), ...found]);
  return [...all].filter((ino) => ino !== undefined).map((ino) => ({ ino, kind: 'exclusive' }));
}

/** No inode has this number, and so nobody has a lease on it. */
const NOBODYS = 0 as Ino;

/** To wait until every session has said what it holds (C13), and for nothing else. */
export function settledClaims(): Claim[] {
  return [{ ino: NOBODYS, kind: 'shared' }];
}

/** To be granted a lease. */
export function leaseClaims(ino: Ino, kind: LeaseKind): Claim[] {
  return [{ ino, kind }];
}
