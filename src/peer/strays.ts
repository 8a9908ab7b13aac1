/** Backing files that belong to no file: whoever knows the namespace is asked about each. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../common/errno.ts';
import { asIno, type Ino } from '../common/ids.ts';
import { backingFolders } from './backing-folders.ts';

export interface Strays {
  /** All backing files. */
  readonly files: number;
  readonly strays: number;
  /** What they take of the disk. */
  readonly strayBytes: number;
  /** The first ones. */
  readonly strayInos: readonly Ino[];
}

const ASKED_MAX = 1024;
const LISTED_MAX = 200;
const SECTOR_BYTES = 512;
const DECIMAL = /^[1-9]\d{0,15}$/;

/** @param unknown of these inos those that have no file here, as of after the question */
export async function findStrays(
  dataDir: string,
  unknown: (inos: readonly Ino[]) => Promise<readonly Ino[]>,
): Promise<Strays> {
  let files = 0;
  let strays = 0;
  let strayBytes = 0;
  const strayInos: Ino[] = [];
  for await (const paths of pieces(dataDir)) {
    files += paths.size;
    for (const ino of await unknown([...paths.keys()])) {
      // Deleted in the meantime, it was none.
      const bytes = await allocated(paths.get(ino));
      if (bytes === undefined) continue;
      strays += 1;
      strayBytes += bytes;
      if (strayInos.length < LISTED_MAX) strayInos.push(ino);
    }
  }
  return { files, strays, strayBytes, strayInos };
}

/** Backing files with their paths, some at a time. */
async function* pieces(dataDir: string): AsyncIterable<ReadonlyMap<Ino, string>> {
  let piece = new Map<Ino, string>();
  for await (const { path } of backingFolders(dataDir)) {
    for (const name of await readdir(path)) {
      if (DECIMAL.test(name)) piece.set(asIno(BigInt(name)), join(path, name));
      if (piece.size < ASKED_MAX) continue;
      yield piece;
      piece = new Map();
    }
  }
  if (piece.size > 0) yield piece;
}

async function allocated(path: string | undefined): Promise<number | undefined> {
  if (path === undefined) return undefined;
  try {
    return (await stat(path)).blocks * SECTOR_BYTES;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
