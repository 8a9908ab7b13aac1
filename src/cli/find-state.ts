/** Which state folder a command is about, when the user did not name one. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { FsError, systemCode } from '../common/errno.ts';
import { DFS_MOUNT_TYPE, mountOf } from '../common/mount-table.ts';
import { hasState, type LoadedState, loadState } from '../common/state-dir.ts';
import {
  isStateNamed,
  refuseDfsMount,
  resolveStateDir,
  SYSTEM_STATE_DIR,
} from '../common/state-location.ts';
import { statePaths } from '../common/state-paths.ts';
import { type Environment, stateEnvironment } from './environment.ts';
import { readMountRecord } from './mount-record.ts';

/** Processes come and go while they are listed, and others' are not ours to read. */
const GONE = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (GONE.has(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** The --state of a process that serves a node, by its command line. */
async function servedState(pid: string): Promise<string | undefined> {
  const words = (await unlessGone(readFile(`/proc/${pid}/cmdline`, 'utf8')))?.split('\0') ?? [];
  const at = words.indexOf('--state');
  if (!words.includes('serve-node') || at < 0) return undefined;
  const owner = (await unlessGone(stat(`/proc/${pid}`)))?.uid;
  // Somebody else's process may call itself anything.
  const trusted = owner === 0 || owner === process.getuid?.();
  return trusted ? words[at + 1] : undefined;
}

/** The folder whose running node has mounted `mountpoint` (absolute, as the kernel names it). */
export async function findServingState(mountpoint: string): Promise<string | undefined> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const dir = await servedState(pid);
    if (dir === undefined) continue;
    if ((await readMountRecord(statePaths(dir))) === mountpoint) return dir;
  }
  return undefined;
}

export interface FindOptions {
  readonly environment: Environment;
  /** --state */
  readonly flag?: string | undefined;
  /** A path whose mount tells the folder. */
  readonly path?: string | undefined;
}

/** The folder behind the mount that `path` lies on. */
async function stateBehind(path: string): Promise<string | undefined> {
  const mount = await mountOf(path);
  if (mount?.type !== DFS_MOUNT_TYPE) return undefined;
  return findServingState(mount.mountpoint);
}

/**
 * The named folder; else the one behind `path`; else this user's, the system's, and the one
 * behind the working folder, whichever exists first.
 */
export async function findStateDir(options: FindOptions): Promise<string> {
  const { environment, flag, path } = options;
  const where = stateEnvironment(environment, flag);
  const own = resolveStateDir(where);
  if (isStateNamed(where)) return own;
  const behind = path === undefined ? undefined : await stateBehind(path);
  if (behind !== undefined) return behind;
  for (const dir of [own, SYSTEM_STATE_DIR]) {
    if (await hasState(dir)) return dir;
  }
  return (await stateBehind(process.cwd())) ?? own;
}

/** @throws FsError with a sentence when there is no sound state folder */
export async function findState(options: FindOptions): Promise<LoadedState> {
  const dir = await findStateDir(options);
  await refuseDfsMount(dir);
  try {
    return await loadState(dir);
  } catch (error) {
    if (!(error instanceof FsError && error.code === 'ENOENT')) throw error;
    throw new FsError(
      'ENOENT',
      `no dfs state in ${dir}: \`dfs mount MOUNTPOINT\` founds a cluster, --state DIR names another folder`,
    );
  }
}
