/** What the records of a journal come to: the fold behind rule C16 of docs/PROTOCOL.md. */
import { assert } from '../../common/assert.ts';
import type { Ino } from '../../common/ids.ts';
import { type Interval, IntervalSet } from './intervals.ts';
import type { JournalRecord, UnpublishedFile } from './journal-record.ts';

/** A file of which something is written and not published. */
export interface Unpublished extends UnpublishedFile {
  /** What of it lies in the write-back folder; nothing of a local file. */
  readonly ranges: IntervalSet;
}

export class JournalState {
  /** Processes that may have the session: the one welcomed last, and all that asked since. */
  #instances: number[] = [];
  /** Of the session welcomed last; 0: none yet. */
  #sid = 0;
  readonly #files = new Map<Ino, Unpublished>();

  get instances(): readonly number[] {
    return this.#instances;
  }

  get sid(): number {
    return this.#sid;
  }

  get files(): ReadonlyMap<Ino, Unpublished> {
    return this.#files;
  }

  apply(record: JournalRecord): void {
    switch (record.kind) {
      case 'asked':
        if (!this.#instances.includes(record.instance)) this.#instances.push(record.instance);
        return;
      case 'welcomed':
        if (record.sid !== this.#sid) this.fence();
        this.#instances = [record.instance];
        this.#sid = record.sid;
        return;
      case 'wrote': {
        const known = this.#files.get(record.file.ino);
        this.#put(record.file, known?.ranges ?? new IntervalSet(), record.ranges);
        return;
      }
      case 'left':
        this.#put(record.file, new IntervalSet(), record.ranges);
        return;
      case 'rose': {
        const known = this.#files.get(record.ino);
        if (known === undefined) return;
        this.#files.set(record.ino, { ...known, lseq: Math.max(known.lseq, record.lseq) });
        return;
      }
      case 'clean':
        this.#files.delete(record.ino);
    }
  }

  /** The session everything was written in is over. */
  fence(): void {
    for (const [ino, file] of this.#files) this.#files.set(ino, { ...file, isFenced: true });
  }

  /** The fewest records that come to the same. */
  *records(): Iterable<JournalRecord> {
    const [first, ...later] = this.#instances;
    if (first !== undefined && this.#sid !== 0) {
      yield { kind: 'welcomed', instance: first, sid: this.#sid };
    } else if (first !== undefined) yield { kind: 'asked', instance: first };
    for (const instance of later) yield { kind: 'asked', instance };
    for (const { ranges, ...file } of this.#files.values()) {
      yield { kind: 'left', file, ranges: ranges.ranges() };
    }
  }

  #put(file: UnpublishedFile, ranges: IntervalSet, more: readonly Interval[]): void {
    assert(!file.isLocal || more.length === 0, `ranges of ino ${file.ino}, which is local`);
    for (const { start, end } of more) ranges.add(start, end);
    this.#files.set(file.ino, { ...file, ranges });
  }
}
