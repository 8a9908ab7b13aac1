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
  #room = new Uint8Array(4096);
  #bytes = 0;
  /** How often it was appended to, and written anew. */
  appended = 0;
  replaced = 0;
  /** Nothing more fits. */
  isFull = false;

  get bytes(): number {
    return this.#bytes;
  }

  get content(): Uint8Array {
    return this.#room.subarray(0, this.#bytes);
  }

  append(record: Uint8Array): void {
    this.#check();
    this.appended += 1;
    this.#put(record);
  }

  replace(content: Uint8Array): void {
    this.#check();
    this.replaced += 1;
    this.#bytes = 0;
    this.#put(content);
  }

  empty(): void {
    this.#bytes = 0;
  }

  close(): void {
    this.isFull = true;
  }

  #put(bytes: Uint8Array): void {
    const length = this.#bytes + bytes.length;
    if (length > this.#room.length) {
      const room = new Uint8Array(2 * length);
      room.set(this.content);
      this.#room = room;
    }
    this.#room.set(bytes, this.#bytes);
    this.#bytes = length;
  }

  #check(): void {
    if (this.isFull) throw new FsError('ENOSPC', 'the journal is full');
  }
}

export function journalOn(sink: JournalSink, state?: JournalState): WriteJournal {
  const options = { sink, owner: OWNER, checksum, log: silentLogger };
  return new WriteJournal(state === undefined ? options : { ...options, state });
}
