/**
 * Counters that live in memory and are stored with the batch that moves them: inodes, inodes
 * awaiting reclaim, and the block of inos this life hands out. A new life takes a fresh block, so
 * an ino is never handed out twice.
 */
import { asIno, INO_BLOCK, type Ino } from '../common/ids.ts';
import type { CommitPath, View } from './commit.ts';
import { INODES_KEY, NEXT_INO_KEY, RECLAIM_COUNT_KEY } from './core/keyspace.ts';
import type { Codecs } from './core/records.ts';
import type { Txn } from './core/txn.ts';

export class Ledger {
  /** So many more inodes await reclaim, durably. */
  onReclaim: (count: number) => void = () => undefined;
  readonly #commit: CommitPath;
  readonly #codecs: Codecs;
  #inodes: number;
  #reclaimPending: number;
  #nextIno: number;
  #blockEnd: number;

  private constructor(commit: CommitPath, codecs: Codecs, counters: readonly number[]) {
    const [inodes = 0, reclaimPending = 0, blockEnd = 0] = counters;
    this.#commit = commit;
    this.#codecs = codecs;
    this.#inodes = inodes;
    this.#reclaimPending = reclaimPending;
    this.#nextIno = blockEnd;
    this.#blockEnd = blockEnd;
  }

  /** @throws FsError EIO when a counter is damaged */
  static load(commit: CommitPath, codecs: Codecs): Ledger {
    const view = commit.view();
    const counters = [INODES_KEY, RECLAIM_COUNT_KEY, NEXT_INO_KEY].map((key) => {
      const bytes = view.get(key);
      return bytes === undefined ? 0 : codecs.counter.decode(bytes);
    });
    return new Ledger(commit, codecs, counters);
  }

  get inodes(): number {
    return this.#inodes;
  }

  get reclaimPending(): number {
    return this.#reclaimPending;
  }

  /** The next block is taken in the batch that the asking transaction will join. */
  takeIno(view: View): Ino {
    if (this.#nextIno === this.#blockEnd) {
      this.#blockEnd += INO_BLOCK;
      const value = this.#codecs.counter.encode(this.#blockEnd);
      this.#commit.submit(view, new Map([[NEXT_INO_KEY, value]]));
    }
    const ino = asIno(this.#nextIno);
    this.#nextIno += 1;
    return ino;
  }

  /** Moves the counters on and submits; nothing may fail between the two. */
  submit(view: View, txn: Txn): void {
    if (txn.inodesDelta !== 0) {
      this.#inodes += txn.inodesDelta;
      txn.put(INODES_KEY, this.#codecs.counter.encode(this.#inodes));
    }
    if (txn.reclaimDelta !== 0) {
      this.#reclaimPending += txn.reclaimDelta;
      txn.put(RECLAIM_COUNT_KEY, this.#codecs.counter.encode(this.#reclaimPending));
    }
    this.#commit.submit(view, txn.finish());
    const added = txn.reclaimDelta;
    if (added <= 0) return;
    this.#commit.whenDurable(view, (failure) => {
      if (failure === undefined) this.onReclaim(added);
    });
  }
}
