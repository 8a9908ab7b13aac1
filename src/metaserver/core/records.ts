/**
 * What the metaserver stores, as plain values. How they become bytes is the business of the
 * codecs handed to a transaction (store-codec.ts).
 */
import type { Attr, Timespec } from '../../common/attr.ts';
import type { Epoch, GroupId, Ino, NodeId } from '../../common/ids.ts';

export interface Inode {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly btime: Timespec;
  /** Moves with every change of this record. */
  readonly av: number;
  readonly rg: GroupId;
  /** Directories: where they hang; 0 otherwise. */
  readonly parent: Ino;
  /** Directories: the number of entries without '.' and '..'. */
  readonly entries: number;
  /** Directories: moves with every change of the entries. */
  readonly dirv: number;
  /** Directories: the seq of the next new name; of one that comes back it may be its old one. */
  readonly nextSeq: number;
  /** Sessions that keep it alive after the last unlink. */
  readonly openers: number;
  /** Regular files: moves whenever bytes or size were published. */
  readonly dv: number;
  /** Regular files: how often the file was cut. */
  readonly cuts: number;
}

export interface Entry {
  readonly ino: Ino;
  /** S_IFMT bits of the mode. */
  readonly type: number;
  readonly seq: number;
}

export interface DirSlot {
  readonly name: string;
  readonly ino: Ino;
  readonly type: number;
}

export type SessionKind = 'mount' | 'peer';

export interface SessionState {
  readonly sepoch: Epoch;
  readonly nodeId: NodeId;
  readonly kind: SessionKind;
  /** Opaque, drawn by each process life; undefined once the session has ended. */
  readonly instance: bigint | undefined;
}

export interface Group {
  readonly epoch: Epoch;
  readonly primary: NodeId | undefined;
  readonly members: readonly NodeId[];
}

export interface PeerState {
  readonly name: string;
  /** HOST:PORT, or :PORT on the metaserver's own host; empty when it serves no chunks. */
  readonly address: string;
  /** It stores files; otherwise it is a client only. */
  readonly stores: boolean;
}

export interface Codec<T> {
  encode(value: T): Uint8Array;
  /** @throws FsError EIO when the bytes are damaged */
  decode(bytes: Uint8Array): T;
}

export interface Codecs {
  readonly inode: Codec<Inode>;
  readonly entry: Codec<Entry>;
  readonly slot: Codec<DirSlot>;
  readonly text: Codec<string>;
  readonly session: Codec<SessionState>;
  readonly group: Codec<Group>;
  readonly peer: Codec<PeerState>;
  readonly reclaim: Codec<GroupId>;
  readonly reply: Codec<Uint8Array>;
  readonly counter: Codec<number>;
}

/** Seqs 1 and 2 are '.' and '..', which are not stored. */
export const FIRST_SEQ = 3;

export function attrOf(ino: Ino, inode: Inode): Attr {
  return {
    ino,
    mode: inode.mode,
    nlink: inode.nlink,
    uid: inode.uid,
    gid: inode.gid,
    rdev: inode.rdev,
    size: inode.size,
    atime: inode.atime,
    mtime: inode.mtime,
    ctime: inode.ctime,
    av: inode.av,
    dirv: inode.dirv,
    dv: inode.dv,
    cuts: inode.cuts,
    rg: inode.rg,
  };
}
