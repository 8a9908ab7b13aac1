/**
 * run/mount.json: what the node of a state folder serves, so that a command that knows only a
 * mountpoint finds the folder, and a later one can tell what a killed node left behind.
 */
import { readFile, rm } from 'node:fs/promises';
import { writeFileDurably } from '../common/durable-file.ts';
import { systemCode, toFsError } from '../common/errno.ts';
import type { StatePaths } from '../common/state-paths.ts';

export async function writeMountRecord(paths: StatePaths, mountpoint: string): Promise<void> {
  const document = `${JSON.stringify({ mountpoint })}\n`;
  await writeFileDurably(paths.mountRecord, document, { mode: 0o644 });
}

export async function removeMountRecord(paths: StatePaths): Promise<void> {
  await rm(paths.mountRecord, { force: true });
}

/** The mountpoint, or undefined when nothing readable is recorded. */
export async function readMountRecord(paths: StatePaths): Promise<string | undefined> {
  let source: string;
  try {
    source = await readFile(paths.mountRecord, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return undefined;
    throw toFsError(error, `cannot read ${paths.mountRecord}`);
  }
  try {
    const document: unknown = JSON.parse(source);
    if (typeof document !== 'object' || document === null) return undefined;
    const mountpoint: unknown = 'mountpoint' in document ? document.mountpoint : undefined;
    return typeof mountpoint === 'string' ? mountpoint : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
