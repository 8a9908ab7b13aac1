/**
 * run/mount.json: what the node of a state folder serves, so that a command that knows only a
 * mountpoint finds the folder, a later one can tell what a killed node left behind, and the next
 * process of the node can mount it again.
 */
import { readFile, rm } from 'node:fs/promises';
import { writeFileDurably } from '../common/durable-file.ts';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import type { StatePaths } from '../common/state-paths.ts';
import type { MountRequest } from '../mount/mounted.ts';
import { decodeMountRequest } from './mount-request.ts';

export async function writeMountRecord(paths: StatePaths, request: MountRequest): Promise<void> {
  const document = `${JSON.stringify(request)}\n`;
  await writeFileDurably(paths.mountRecord, document, { mode: 0o644 });
}

export async function removeMountRecord(paths: StatePaths): Promise<void> {
  await rm(paths.mountRecord, { force: true });
}

/** The mountpoint, or undefined when nothing readable is recorded. */
export async function readMountRecord(paths: StatePaths): Promise<string | undefined> {
  return (await readMountRequest(paths))?.mountpoint;
}

/** How it was mounted; undefined when nothing readable is recorded. */
export async function readMountRequest(paths: StatePaths): Promise<MountRequest | undefined> {
  let source: string;
  try {
    source = await readFile(paths.mountRecord, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return undefined;
    throw toFsError(error, `cannot read ${paths.mountRecord}`);
  }
  try {
    return decodeMountRequest(JSON.parse(source));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof FsError) return undefined;
    throw error;
  }
}
