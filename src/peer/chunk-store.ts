import type { GroupView } from '../common/cluster-map.ts';
import type { Epoch, GroupId, Ino, SessionId } from '../common/ids.ts';
import type { SpaceAsk } from './core/grants.ts';

/** Who changes data, under which right: checked before every read and commit. */
export interface DataContext {
  readonly sid: SessionId;
  readonly sepoch: Epoch;
  /** Sequence of the lease it happens under; 0 until leases exist. */
  readonly lseq: number;
  readonly rg: GroupId;
  readonly rgEpoch: Epoch;
}

/** The right to the data of one file. */
export interface FileRight extends DataContext {
  /** Cuts of the file the caller knows of (docs/PROTOCOL.md, H3). */
  readonly cuts: number;
}

/** What another peer sends. */
export interface WrittenRange {
  readonly offset: number;
  /** At most 1 MiB. */
  readonly data: Uint8Array;
  /** So many of the bytes were counted when the sender was promised space (H13). */
  readonly promisedBytes?: number;
}

/** Every change of file bytes is one of these, and goes through one commit function. */
export type DataRecord =
  | {
      readonly kind: 'write';
      readonly offset: number;
      readonly data: Uint8Array;
      /** For another peer (H13). */
      readonly promisedBytes?: number;
    }
  /** `size` becomes the end of the file: bytes behind it are gone, bytes up to it read as zeros. */
  | { readonly kind: 'truncate'; readonly size: number }
  /** The file reaches to `size` at least; what is new reads as zeros. Never cuts. */
  | { readonly kind: 'extend'; readonly size: number }
  /** The range reads as zeros afterwards; the size stays. */
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number };

/** One entry a block; seq 0 is a block without data, which reads as zeros. */
export interface BlockVersions {
  readonly epochs: Uint32Array;
  readonly seqs: Float64Array;
}

/** A run of 64 KiB blocks inside one chunk. */
export interface BlockRun {
  readonly chunk: number;
  readonly blockFirst: number;
  readonly blockEnd: number;
}

export interface StoreSpace {
  readonly bytesTotal: number;
  /** What files may still take: free space less the floor kept for metadata. */
  readonly bytesFree: number;
  readonly bytesOwned: number;
  readonly bytesCached: number;
}

/**
 * The bytes of this machine: one sparse backing file per inode. Offsets and lengths are bytes,
 * safe integers >= 0. All errors are FsError: ENOSPC, EFBIG, EIO (also a checksum that does not
 * match), ESTALE (fenced epoch).
 *
 * A commit or read returns a promise only when it must wait (a sealed chunk is reopened durably
 * before its first change, a file is opened); otherwise the work is done when the call returns.
 * Changes of one inode take effect in the order of the calls.
 */
export interface ChunkStore {
  /**
   * Fills target[0..length) from `offset`. Bytes past the end of the backing file and holes read
   * as zeros: the caller clamps to the authoritative size.
   */
  read(ino: Ino, offset: number, target: Uint8Array): void | Promise<void>;
  /**
   * Fills `target` with whole blocks of one chunk and names their versions: the same version never
   * stands for other bytes, so it is what another peer may keep them under. Blocks with data whose
   * version is not known get a fresh one.
   * @param target as long as the run
   * @throws FsError EIO a checksum does not match · ESTALE the group is not ours
   */
  readBlocks(rg: GroupId, ino: Ino, run: BlockRun, target: Uint8Array): BlockVersions;
  /** @throws FsError ESTALE the group is not ours, or in another epoch */
  check(context: DataContext): void;
  /**
   * Sets space aside for a session, instead of what it was promised before (H13).
   * @returns how much it is promised now
   * @throws FsError ENOSPC, its earlier promise stays then · ESTALE
   */
  reserve(context: DataContext, ask: SpaceAsk): number;
  /** Nothing is promised to the session any more. */
  unreserve(sid: SessionId): void;
  /**
   * Applies one record. ENOSPC comes from here, before anything of it is accepted. Errors are
   * thrown or reject; `record.data` stays untouched until the work is done.
   */
  commit(context: DataContext, ino: Ino, record: DataRecord): void | Promise<void>;
  /**
   * Before the first change of an inode in this process life: bytes of the backing file past
   * `size` (left by an interrupted truncate or an unpublished write) are cut off, durably.
   */
  reconcile(ino: Ino, size: number): Promise<void>;
  /** Everything committed so far for this inode is on stable storage when it resolves. */
  fsync(ino: Ino): Promise<void>;
  /** Everything committed so far for any inode is on stable storage when it resolves. */
  syncAll(): Promise<void>;
  /** No handle is open any more: descriptors and space grants may be given back. */
  release(ino: Ino): void;
  /** Deletes backing files and their index entries; unknown inos are fine. */
  remove(inos: readonly Ino[]): Promise<void>;
  /** Allocated bytes in 512-byte units, as stat(2) shows them; 0 without a backing file. */
  blocks(ino: Ino): number | Promise<number>;
  space(): StoreSpace;
  /** Membership from the metaserver: commits and reads with another epoch fail with ESTALE. */
  setGroups(groups: readonly GroupView[]): void;
}
