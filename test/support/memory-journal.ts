/** A journal in memory, which a test may fill up or cut off. */
import { native } from '../../native/index.ts';
import { FsError } from '../../src/common/errno.ts';
import { silentLogger } from '../../src/common/log.ts';
import type { JournalState } from '../../src/mount/core/journal-state.ts';
import type { JournalSink } from '../../src/mount/data/journal-file.ts';
import { WriteJournal } from '../../src/mount/data/write-journal.ts';

export const OWNER = { bootId: 'b0'.repeat(16), clusterId: 'cc'.repeat(16) };

export const checksum = (bytes: Uint8Array, offset: number, length: number): number =>
  native.crc32c(0, bytes, offset, length);

export class MemoryJournal implements JournalSink {
  content = new Uint8Array();
  /** How often it was appended to, and written anew. */
  appended = 0;
  replaced = 0;
  /** Nothing more fits. */
  isFull = false;

  get bytes(): number {
    return this.content.length;
  }

  append(record: Uint8Array): void {
    this.#check();
    this.appended += 1;
    this.content = new Uint8Array(Buffer.concat([this.content, record]));
  }

  replace(content: Uint8Array): void {
    this.#check();
    this.replaced += 1;
    this.content = content.slice();
  }

  empty(): void {
    this.content = new Uint8Array();
  }

  close(): void {
    this.isFull = true;
  }

  #check(): void {
    if (this.isFull) throw new FsError('ENOSPC', 'the journal is full');
  }
}

export function journalOn(sink: JournalSink, state?: JournalState): WriteJournal {
  const options = { sink, owner: OWNER, checksum, log: silentLogger };
  return new WriteJournal(state === undefined ? options : { ...options, state });
}
