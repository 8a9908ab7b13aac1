/**
 * The journal of a mount (rule C16 of docs/PROTOCOL.md): what write(2) accepted and is not
 * published, so that the next process of the node publishes it when this one is killed. Told by
 * whoever changes what is unpublished, before the kernel is answered; it decides nothing.
 */
import type { Attr, Timespec } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import type { Logger } from '../../common/log.ts';
import type { Interval } from '../core/intervals.ts';
import { type Checksum, type JournalRecord, RecordEncoder } from '../core/journal-record.ts';
import { encodeHeader, type JournalOwner } from '../core/journal-replay.ts';
import { JournalState, type Unpublished } from '../core/journal-state.ts';
import type { Inode } from '../vfs/inode.ts';
import type { JournalSink } from './journal-file.ts';

/** A file this small is never written anew. */
const COMPACT_BYTES = 1024 * 1024;
/** It is written anew when it is so many times as long as it needs to be. */
const COMPACT_TIMES = 4;
/** As fine as Linux keeps the times of its own files: one tick. */
const TICK_MS = 4;

export interface WriteJournalOptions {
  readonly sink: JournalSink;
  readonly owner: JournalOwner;
  readonly checksum: Checksum;
  readonly log: Logger;
  /** What the process before left. */
  readonly state?: JournalState;
}

export class WriteJournal {
  readonly #options: WriteJournalOptions;
  readonly #state: JournalState;
  readonly #encoder: RecordEncoder;
  #compactBytes = COMPACT_BYTES;
  /** The file says what is so. */
  #isWhole = false;

  /** @throws FsError when it cannot be written */
  constructor(options: WriteJournalOptions) {
    this.#options = options;
    this.#state = options.state ?? new JournalState();
    this.#encoder = new RecordEncoder(options.checksum);
    this.#rewrite();
  }

  /** Files of which something is unpublished. */
  get files(): ReadonlyMap<Ino, Unpublished> {
    return this.#state.files;
  }

  /** Of the session everything but what is fenced was written in; 0: none. */
  get sid(): number {
    return this.#state.sid;
  }

  /** How long a file whose home is here is once what is unpublished counts too. */
  sizeHere({ cuts, ino, size }: Pick<Attr, 'cuts' | 'ino' | 'size'>): number {
    const left = this.files.get(ino);
    return left?.isLocal === true && left.cuts === cuts ? Math.max(size, left.end) : size;
  }

  /** Processes `instance` goes on for: none when they have left nothing. */
  follows(instance: number): readonly number[] {
    if (this.files.size === 0) return [];
    return this.#state.instances.filter((other) => other !== instance);
  }

  /** To be called before its Hello is sent. @throws FsError */
  asked(instance: number): void {
    this.#append({ kind: 'asked', instance });
  }

  /** What was written in another session is fenced from now on. */
  welcomed(instance: number, sid: number): void {
    const { instances } = this.#state;
    if (sid === this.sid && instances.length === 1 && instances[0] === instance) return;
    this.#note({ kind: 'welcomed', instance, sid });
  }

  /**
   * A write was accepted, and the inode knows of it.
   * @param range where its bytes lie in the write-back folder; undefined: in the backing file
   * @throws FsError ENOSPC the write must not be answered
   */
  wrote(inode: Inode, range: Interval | undefined): void {
    const { cuts, dirty, ino, lseq } = inode;
    if (dirty === undefined) return;
    const known = this.files.get(ino);
    const isKnown =
      known !== undefined &&
      known.cuts === cuts &&
      known.lseq === lseq &&
      known.end === dirty.end &&
      isSameTick(known.mtime, dirty.mtime) &&
      (range === undefined || known.ranges.covers(range.start, range.end));
    if (isKnown) return;
    const isFenced = known?.isFenced ?? false;
    const file = { ino, isLocal: range === undefined, isFenced, cuts, lseq, ...dirty };
    const ranges = range === undefined || range.start === range.end ? [] : [range];
    this.#append({ kind: 'wrote', file, ranges });
  }

  /** Less of it is unpublished than before: of what the write-back folder has, `ranges`. */
  left(inode: Inode, ranges: readonly Interval[]): void {
    const { cuts, dirty, ino, lseq } = inode;
    const known = this.files.get(ino);
    if (known === undefined) return;
    if (dirty === undefined && ranges.length === 0) {
      this.clean(ino);
      return;
    }
    const { isFenced, isLocal, end, mtime } = { ...known, ...dirty };
    this.#note({ kind: 'left', file: { ino, isLocal, isFenced, cuts, lseq, end, mtime }, ranges });
  }

  /** A call about the file goes out under a younger lease than any before. */
  rose({ ino, lseq }: Inode): void {
    const known = this.files.get(ino);
    if (known !== undefined && known.lseq < lseq) this.#note({ kind: 'rose', ino, lseq });
  }

  /**
   * Nothing of it is unpublished any more, or ever will be published.
   * @returns whether something was
   */
  clean(ino: Ino): boolean {
    const isKnown = this.files.has(ino);
    if (isKnown) this.#note({ kind: 'clean', ino });
    return isKnown;
  }

  close(): void {
    this.#options.sink.close();
  }

  /**
   * It is so, whatever becomes of the file. One that lacks such a record would have old bytes
   * published again, so none of it is left then.
   */
  #note(record: JournalRecord): void {
    const { log, sink } = this.#options;
    try {
      this.#append(record);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      log.error('a crash now would lose what is unpublished', { error });
      this.#isWhole = false;
      sink.empty();
      this.#state.apply(record);
    }
  }

  /** @throws FsError nothing has changed */
  #append(record: JournalRecord): void {
    const { sink } = this.#options;
    if (!this.#isWhole) this.#rewrite();
    else if (sink.bytes >= this.#compactBytes) this.#compact();
    sink.append(this.#encoder.encode(record));
    this.#state.apply(record);
  }

  /** What is there goes on when there is no room for another file. */
  #compact(): void {
    try {
      this.#rewrite();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#options.log.warn('the journal cannot be made shorter', { error });
      this.#compactBytes = 2 * this.#options.sink.bytes;
    }
  }

  #rewrite(): void {
    const { checksum, owner, sink } = this.#options;
    const parts = [encodeHeader(owner, checksum)];
    for (const record of this.#state.records()) parts.push(this.#encoder.encode(record).slice());
    sink.replace(Buffer.concat(parts));
    this.#isWhole = true;
    this.#compactBytes = Math.max(COMPACT_BYTES, COMPACT_TIMES * sink.bytes);
  }
}

function isSameTick(one: Timespec, other: Timespec): boolean {
  const ms = (other.sec - one.sec) * 1000 + (other.nsec - one.nsec) / 1e6;
  return ms >= 0 && ms < TICK_MS;
}
