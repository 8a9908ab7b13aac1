/** The directory to mount on: what it is, and whether it may be used. Never steps into a mount. */
import { lstat, mkdir, readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MNT_DETACH, native } from '../../native/index.ts';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import { DFS_MOUNT_TYPE, findMount, type MountEntry } from '../common/mount-table.ts';
import { findServingState } from './find-state.ts';
import { probeMount } from './probe.ts';

const DEPTH_MAX = 40;

/** The parent as the kernel names it; missing parents stay as typed. */
async function realParent(path: string): Promise<string> {
  const parent = dirname(path);
  if (parent === path) return path;
  try {
    return await realpath(parent);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw toFsError(error, `cannot look at ${parent}`);
    return join(await realParent(parent), basename(parent));
  }
}

/**
 * The path as the mount table shows it. Links are followed, but nothing that is mounted is looked
 * at: a dead mount would answer with an error, a stuck one not at all.
 */
export async function resolveMountpoint(typed: string): Promise<string> {
  let path = resolve(typed);
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (path === '/') return path;
    path = join(await realParent(path), basename(path));
    if ((await findMount(path)) !== undefined) return path;
    const stat = await lstat(path).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw toFsError(error, `cannot look at ${path}`);
    });
    if (stat?.isSymbolicLink() !== true) return path;
    path = await realpath(path).catch((error: unknown) => {
      throw toFsError(error, `cannot follow ${path}`);
    });
  }
  throw new FsError('EINVAL', `too many links in ${typed}`);
}

/** @throws FsError when the state folder and the mountpoint contain each other */
export function refuseOverlap(mountpoint: string, stateDir: string): void {
  const inside = (inner: string, outer: string): boolean =>
    inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`);
  if (!inside(mountpoint, stateDir) && !inside(stateDir, mountpoint)) return;
  throw new FsError('EINVAL', `the state folder ${stateDir} and ${mountpoint} must not overlap`);
}

/**
 * Checks that nothing but an empty directory, or nothing at all, is there.
 * @throws FsError ENOTDIR · ENOTEMPTY
 */
export async function checkMountpoint(mountpoint: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(mountpoint);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    if (systemCode(error) === 'ENOTDIR') {
      throw new FsError('ENOTDIR', `${mountpoint} is not a directory`);
    }
    throw toFsError(error, `cannot look at ${mountpoint}`);
  }
  if (names.length === 0) return;
  throw new FsError(
    'ENOTEMPTY',
    `${mountpoint} is not empty: mounting would hide what is in it; choose an empty directory`,
  );
}

export async function makeMountpoint(mountpoint: string): Promise<void> {
  try {
    await mkdir(mountpoint, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw toFsError(error, `cannot make ${mountpoint}`);
  }
}

/**
 * Something is mounted at `entry`, and this state's node does not serve it. A mount of ours whose
 * daemon is gone is detached; anything else is refused.
 */
export async function clearForeignMount(entry: MountEntry, ownDir?: string): Promise<void> {
  const { mountpoint, type } = entry;
  if (type !== DFS_MOUNT_TYPE) {
    throw new FsError('EBUSY', `something else (${type}) is mounted on ${mountpoint}`);
  }
  const other = await findServingState(mountpoint);
  if (other !== undefined && other !== ownDir) {
    throw new FsError('EBUSY', `the dfs node of ${other} has mounted ${mountpoint} already`);
  }
  if ((await probeMount(mountpoint)) === 'answers') {
    throw new FsError('EBUSY', `another dfs node has mounted ${mountpoint} already`);
  }
  await detachMount(mountpoint);
}

/** Takes the mount out of the tree at once, whoever still uses it. */
export async function detachMount(mountpoint: string): Promise<void> {
  try {
    await native.unmount(mountpoint, MNT_DETACH);
  } catch (error) {
    throw toFsError(error, `cannot detach ${mountpoint}`);
  }
}
