import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

const PAGE_BYTES = 4096;

/**
 * The bytes of one file: what was synced lies in an object file on disk, what was not only in
 * this process's memory. A power cut is the loss of the memory.
 */
export class FaultFile {
  readonly #fd: number;
  readonly #pages = new Map<number, Buffer>();
  /** Synced bytes from here on are cut off, though the disk does not know yet. */
  #visible: number;
  #size: number;

  constructor(path: string, size: number) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#size = size;
    this.#visible = size;
  }

  get size(): number {
    return this.#size;
  }

  get dirty(): boolean {
    return this.#pages.size > 0;
  }

  read(offset: number, target: Uint8Array): number {
    const length = Math.min(target.length, Math.max(0, this.#size - offset));
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const index = Math.floor(at / PAGE_BYTES);
      const within = at - index * PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, length - done);
      target.set(this.#page(index).subarray(within, within + count), done);
      done += count;
    }
    return length;
  }

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const index = Math.floor(at / PAGE_BYTES);
      const within = at - index * PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, data.length - done);
      const page = this.#pages.get(index) ?? this.#page(index);
      page.set(data.subarray(done, done + count), within);
      this.#pages.set(index, page);
      done += count;
    }
    this.#size = Math.max(this.#size, offset + data.length);
  }

  truncate(size: number): void {
    const last = Math.floor(size / PAGE_BYTES);
    for (const index of [...this.#pages.keys()]) {
      if (index > last) this.#pages.delete(index);
    }
    if (size % PAGE_BYTES !== 0 && size < this.#size) {
      const page = this.#page(last);
      page.fill(0, size % PAGE_BYTES);
      this.#pages.set(last, page);
    } else if (size < this.#size) this.#pages.delete(last);
    this.#visible = Math.min(this.#visible, size);
    this.#size = size;
  }

  /** The journal reached the disk: what was cut off is gone there too. */
  settleCut(): void {
    ftruncateSync(this.#fd, this.#visible);
  }

  /** @returns the durable size afterwards */
  sync(): number {
    this.settleCut();
    for (const [index, page] of this.#pages) {
      const at = index * PAGE_BYTES;
      writeSync(this.#fd, page, 0, Math.min(PAGE_BYTES, Math.max(0, this.#size - at)), at);
    }
    this.#pages.clear();
    ftruncateSync(this.#fd, this.#size);
    this.#visible = this.#size;
    return this.#size;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** A copy of the page as it is now. */
  #page(index: number): Buffer {
    const dirty = this.#pages.get(index);
    if (dirty !== undefined) return dirty;
    const page = Buffer.alloc(PAGE_BYTES);
    const at = index * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES, Math.max(0, this.#visible - at));
    if (length > 0) readSync(this.#fd, page, 0, length, at);
    return page;
  }
}
