/** Walks the folders ab/cd in which backing files lie. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

const HEX_PAIR = /^[0-9a-f]{2}$/;

export interface BackingFolder {
  /** 0xabcd */
  readonly folder: number;
  readonly path: string;
}

/** In the order of their numbers; anything with another name is passed over. */
export async function* backingFolders(dir: string): AsyncIterable<BackingFolder> {
  for (const high of await pairs(dir)) {
    for (const low of await pairs(join(dir, high))) {
      yield { folder: Number.parseInt(high + low, 16), path: join(dir, high, low) };
    }
  }
}

async function pairs(dir: string): Promise<string[]> {
  const names = await readdir(dir);
  return names.filter((name) => HEX_PAIR.test(name)).sort();
}
