/**
 * What the store holds in memory of one inode. A file that is synced and has no chunk to seal may
 * be dropped at any time: all of it is read again from the disk and the index.
 */
import type { FsError } from '../common/errno.ts';
import type { GroupId, Ino } from '../common/ids.ts';
import type { ChunkState } from './core/chunk-state.ts';
import { SerialQueue } from './serial-queue.ts';
import { SharedSync } from './shared-sync.ts';

export interface FileStateOptions {
  readonly ino: Ino;
  readonly isPresent: boolean;
  readonly bytes: number;
  readonly allocatedBytes: number;
  readonly sync: (file: FileState) => Promise<void>;
}

export class FileState {
  readonly ino: Ino;
  /** There is a backing file. */
  isPresent: boolean;
  /** Size of the backing file; at most the size of the inode once it was reconciled. */
  bytes: number;
  allocatedBytes: number;
  readonly chunks = new Map<number, ChunkState>();
  /** Chunks changed by this process and not sealed since. */
  readonly unsealed = new Set<number>();
  /** Changes wait here while an earlier one must wait for the index. */
  readonly queue = new SerialQueue();
  readonly sync: SharedSync;
  /** Grows with every change of bytes. */
  changes = 0;
  /** Value of `changes` that is on stable storage; -1: not known what an earlier life left. */
  syncedChanges = -1;
  changedMs = 0;
  /** The group of the last change. */
  rg: GroupId | undefined;
  /** A sync failed: what the disk holds is not known, so nothing is promised any more. */
  failure: FsError | undefined;

  constructor(options: FileStateOptions) {
    this.ino = options.ino;
    this.isPresent = options.isPresent;
    this.bytes = options.bytes;
    this.allocatedBytes = options.allocatedBytes;
    this.sync = new SharedSync(() => options.sync(this));
  }

  /** Every byte below the end is allocated: overwriting takes no space. */
  get isDense(): boolean {
    return this.allocatedBytes >= this.bytes;
  }

  get isUnsynced(): boolean {
    return this.changes > 0 && this.syncedChanges < this.changes;
  }

  /** Nothing is pending but perhaps chunks to seal. */
  get isSynced(): boolean {
    const waits = this.queue.isBusy || this.sync.isBusy;
    return !waits && !this.isUnsynced && this.failure === undefined;
  }
}
