/**
 * The kernel's mount table and the FUSE control filesystem, read without touching any mount.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { toFsError } from './errno.ts';

export interface MountEntry {
  readonly mountpoint: string;
  /** `fuse.dfs` for ours. */
  readonly type: string;
  readonly source: string;
  readonly major: number;
  readonly minor: number;
}

export const DFS_SUBTYPE = 'dfs';
export const DFS_MOUNT_TYPE = `fuse.${DFS_SUBTYPE}`;

/** Spaces, tabs, newlines and backslashes are written as three octal digits. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** One line of /proc/self/mountinfo, or undefined when it has another shape. */
function parseLine(line: string): MountEntry | undefined {
  const [before = '', after = ''] = line.split(' - ');
  const [, , device = '', , mountpoint] = before.split(' ');
  const [type = '', source = ''] = after.split(' ');
  const [major, minor] = device.split(':').map(Number);
  if (mountpoint === undefined || major === undefined || minor === undefined) return undefined;
  const path = Buffer.from(unescapeField(mountpoint), 'latin1').toString('utf8');
  return { mountpoint: path, type, source: unescapeField(source), major, minor };
}

/** Mounts in the order they were made: the last one on a path is the visible one. */
export async function listMounts(): Promise<MountEntry[]> {
  const text = await readFile('/proc/self/mountinfo', 'latin1');
  return text
    .split('\n')
    .map(parseLine)
    .filter((entry) => entry !== undefined);
}

/** What is mounted exactly on `mountpoint` (absolute, normalised), if anything. */
export async function findMount(mountpoint: string): Promise<MountEntry | undefined> {
  return (await listMounts()).findLast((entry) => entry.mountpoint === mountpoint);
}

/** The mount that `path` (absolute, normalised) lies on. */
export async function mountOf(path: string): Promise<MountEntry | undefined> {
  let best: MountEntry | undefined;
  for (const entry of await listMounts()) {
    const prefix = entry.mountpoint === '/' ? '/' : `${entry.mountpoint}/`;
    const covers = path === entry.mountpoint || path.startsWith(prefix);
    if (covers && entry.mountpoint.length >= (best?.mountpoint.length ?? 0)) best = entry;
  }
  return best;
}

const CONTROL_DIR = '/sys/fs/fuse/connections';

/**
 * Ends the FUSE connection whatever it waits for: every request on it fails with ECONNABORTED.
 * @throws FsError when the control filesystem is not there or refuses
 */
export async function abortConnection(mount: MountEntry): Promise<void> {
  const path = `${CONTROL_DIR}/${mount.minor}/abort`;
  try {
    await writeFile(path, '1');
  } catch (error) {
    throw toFsError(error, `cannot abort the FUSE connection through ${path}`);
  }
}
