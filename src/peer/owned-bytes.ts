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

const SECTOR_BYTES = 512;
const HEX_PAIR = /^[0-9a-f]{2}$/;

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
    for (const high of await pairs(dataDir)) {
      for (const low of await pairs(join(dataDir, high))) {
        const bytes = await allocatedIn(join(dataDir, high, low), signal);
        if (signal.aborted) return;
        this.#bytes += bytes;
        this.#countedEnd = Number.parseInt(high + low, 16) + 1;
      }
    }
    this.#countedEnd = FOLDER_COUNT;
  }
}

async function pairs(dir: string): Promise<string[]> {
  const names = await readdir(dir);
  return names.filter((name) => HEX_PAIR.test(name)).sort();
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
