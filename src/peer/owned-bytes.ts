/**
 * How many bytes of this disk the store's files take. The sum is kept in memory and saved at an
 * orderly close; after any other end it is counted anew in the background, folder by folder.
 * Changes made while a folder is being counted may be off by themselves: the figure is for people.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { FOLDER_COUNT, folderOf } from './backing-files.ts';
import { backingFolders } from './backing-folders.ts';

const SECTOR_BYTES = 512;

export class OwnedBytes {
  #bytes: number;
  /** Folders below it are counted, or all. */
  #countedEnd = FOLDER_COUNT;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get bytes(): number {
    return Math.max(0, this.#bytes);
  }

  get isExact(): boolean {
    return this.#countedEnd === FOLDER_COUNT;
  }

  add(ino: Ino, bytes: number): void {
    if (folderOf(ino) < this.#countedEnd) this.#bytes += bytes;
  }

  /** Counts all files below `dataDir`; an abort leaves the sum inexact. */
  async count(dataDir: string, signal: AbortSignal): Promise<void> {
    this.#bytes = 0;
    this.#countedEnd = 0;
    for await (const { folder, path } of backingFolders(dataDir)) {
      const bytes = await allocatedIn(path, signal);
      if (signal.aborted) return;
      this.#bytes += bytes;
      this.#countedEnd = folder + 1;
    }
    this.#countedEnd = FOLDER_COUNT;
  }
}

async function allocatedIn(dir: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir)) {
    if (signal.aborted) break;
    try {
      const { blocks } = await stat(join(dir, name));
      bytes += blocks * SECTOR_BYTES;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
  return bytes;
}
