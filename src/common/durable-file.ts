/** Small files that are either there whole or not at all, also after a power cut. */
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes the entries of a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces `path` in one step: temporary file, fsync, rename, fsync of the directory. */
export async function writeFileDurably(
  path: string,
  content: string,
  options: { readonly mode: number },
): Promise<void> {
  const temporary = `${path}.new`;
  const handle = await open(temporary, 'w', options.mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
