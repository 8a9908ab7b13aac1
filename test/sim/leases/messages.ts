/** What travels in the simulated cluster. Inos below FIRST_FILE are directories. */
import type { Ino, SessionId } from '../../../src/common/ids.ts';
import type { Grant, Keep, LeaseKind } from '../../../src/common/lease.ts';

export const DIRS: readonly Ino[] = [1 as Ino, 2 as Ino];
export const NAMES = 3;
export const PAGES = 3;
export const FIRST_FILE = 10;

export function isDirectory(ino: Ino): boolean {
  return ino < FIRST_FILE;
}

/** What a name leads to, 0: to nothing, and the version of this fact. */
export interface Entry {
  readonly ino: Ino | 0;
  readonly version: number;
}

/** `mode` moves with chmod; `size` with every write, or with every change of a directory. */
export interface Attr {
  readonly mode: number;
  readonly size: number;
}

export type Op =
  | { readonly op: 'lookup'; readonly dir: Ino; readonly name: number }
  | { readonly op: 'getattr'; readonly ino: Ino }
  | { readonly op: 'readdir'; readonly dir: Ino }
  | { readonly op: 'make'; readonly dir: Ino; readonly name: number }
  | { readonly op: 'remove'; readonly dir: Ino; readonly name: number; readonly known: Known }
  | {
      readonly op: 'rename';
      readonly dir: Ino;
      readonly name: number;
      readonly newDir: Ino;
      readonly newName: number;
      readonly known: Known;
    }
  | { readonly op: 'link'; readonly ino: Ino; readonly newDir: Ino; readonly newName: number }
  | { readonly op: 'setattr'; readonly ino: Ino }
  | { readonly op: 'ask'; readonly ino: Ino; readonly kind: LeaseKind }
  | { readonly op: 'flush'; readonly ino: Ino; readonly size: number }
  | { readonly op: 'closed'; readonly ino: Ino }
  | {
      readonly op: 'glimpsed';
      readonly id: number;
      readonly ino: Ino;
      readonly lseq: number;
      /** undefined: it is to be called. */
      readonly size: number | undefined;
    }
  | { readonly op: 'settled'; readonly open: readonly Ino[] };

/** The file the session expects under a name, and whether it is open there. */
export interface Known {
  readonly ino: Ino | 0;
  readonly open: boolean;
}

export interface Request {
  readonly id: number;
  readonly body: Op;
}

export interface GivenLease {
  readonly ino: Ino;
  readonly grant: Grant;
  readonly attr: Attr | undefined;
}

export interface Named {
  readonly name: number;
  readonly entry: Entry;
}

export interface Reply {
  readonly id: number;
  /** The life of the server it comes from. */
  readonly epoch: number;
  readonly error: 'ENOENT' | 'EEXIST' | 'ESTALE' | undefined;
  readonly ino: Ino | 0;
  readonly attr: Attr | undefined;
  /** Of a directory: what its names lead to; of a change: the names that changed. */
  readonly names: readonly (Named & { readonly dir: Ino })[];
  readonly grants: readonly GivenLease[];
  /** An inode lost its last name, but is kept: this session may have it open. */
  readonly kept: Ino | 0;
  /** An inode lost its last name, and this session does not have it open. */
  readonly gone: Ino | 0;
}

export interface ReleaseMessage {
  readonly ino: Ino;
  readonly lseq: number;
  readonly keep: Keep;
  readonly open: boolean;
}

/** One page as somebody wrote it; the version is given when the write is taken. */
export interface Content {
  version: number;
}
export const PENDING = -1;

export interface DataCall {
  readonly ino: Ino;
  readonly page: number;
  /** undefined: it reads. */
  readonly content: Content | undefined;
  readonly sid: SessionId;
  readonly sepoch: number;
  readonly lseq: number;
  readonly homeEpoch: number;
  /** Order in which this session sent it. */
  readonly order: number;
}

export type DataReply =
  | { readonly ok: true; readonly content: Content }
  | { readonly ok: false; readonly refusal: 'epoch' | 'evicted' | 'late' | 'alone' };
