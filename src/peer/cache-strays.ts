/** Files in the cache's folder that no record speaks of: what a crash, or a lost record, left. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asIno } from '../common/ids.ts';
import { backingFolders } from './backing-folders.ts';
import type { CacheFiles } from './cache-files.ts';

const DECIMAL = /^[1-9][0-9]{0,14}$/;

/** Removes them one after another, until the signal aborts. Names that are not ours stay. */
export async function removeStrays(
  dir: string,
  files: CacheFiles,
  signal: AbortSignal,
): Promise<void> {
  for await (const { path } of backingFolders(dir)) {
    for (const name of await readdir(path)) {
      if (signal.aborted) return;
      if (!DECIMAL.test(name)) continue;
      const ino = asIno(Number(name));
      if (files.has(ino) || files.pathOf(ino) !== join(path, name)) continue;
      files.remove(ino);
      await files.settle();
    }
  }
}
