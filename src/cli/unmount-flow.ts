/**
 * `dfs unmount`: through the node that serves the mount when it answers, by force otherwise.
 * This process never touches the mountpoint itself: the mount table tells what is there.
 */
import { FsError } from '../common/errno.ts';
import { DFS_MOUNT_TYPE, findMount, type MountEntry } from '../common/mount-table.ts';
import { isStateNamed, resolveStateDir } from '../common/state-location.ts';
import { type StatePaths, statePaths } from '../common/state-paths.ts';
import type { NodeStatus } from '../mount/status.ts';
import {
  type CommonFlags,
  type Environment,
  note,
  say,
  sayJson,
  stateEnvironment,
} from './environment.ts';
import { findServingState, findStateDir } from './find-state.ts';
import { forceUnmount } from './force-unmount.ts';
import { readMountRecord, removeMountRecord } from './mount-record.ts';
import { detachMount, resolveMountpoint } from './mountpoint.ts';
import { fetchStatus, postUnmount } from './node-client.ts';
import { probeMount } from './probe.ts';
import { stopAll } from './stop-flow.ts';

export interface UnmountFlags extends CommonFlags {
  readonly force?: boolean;
}

export interface UnmountCall {
  readonly mountpoint: string;
  readonly flags: UnmountFlags;
  readonly environment: Environment;
}

const PATIENCE_MS = 1_000;

async function requireDfsMount(mountpoint: string): Promise<MountEntry> {
  const entry = await findMount(mountpoint);
  if (entry === undefined) throw new FsError('EINVAL', `nothing is mounted on ${mountpoint}`);
  if (entry.type === DFS_MOUNT_TYPE) return entry;
  throw new FsError('EINVAL', `${mountpoint} is no dfs mount (${entry.type}): use umount`);
}

/** The named folder, else the one whose node serves the mountpoint, else the usual one. */
async function statePathsFor(mountpoint: string, call: UnmountCall): Promise<StatePaths> {
  const { environment, flags } = call;
  const where = stateEnvironment(environment, flags.state);
  if (isStateNamed(where)) return statePaths(resolveStateDir(where));
  const serving = await findServingState(mountpoint);
  return statePaths(serving ?? (await findStateDir({ environment })));
}

async function unmountOrderly(paths: StatePaths, mountpoint: string): Promise<void> {
  const patience = setTimeout(() => {
    note('waiting until everything written is on disk');
  }, PATIENCE_MS);
  try {
    await postUnmount(paths, { mountpoint, force: false });
  } catch (error) {
    if (!(error instanceof FsError && error.code === 'EBUSY')) throw error;
    throw new FsError(
      'EBUSY',
      `${mountpoint} is in use: close the programs and shells that are in it, or add --force`,
      { cause: error },
    );
  } finally {
    clearTimeout(patience);
  }
}

/** Nobody we know serves it: a dead mount is taken away, a living one is left alone. */
async function unmountOrphan(mountpoint: string): Promise<void> {
  const health = await probeMount(mountpoint);
  if (health === 'dead') {
    await detachMount(mountpoint);
    note('its node is gone; the mount was taken away');
    return;
  }
  throw new FsError(
    'EBUSY',
    `${mountpoint} is served by a node of another state folder: name it with --state, or add --force`,
  );
}

/** Why the node goes on without a mount, or nothing. */
function reasonToGoOn(node: NodeStatus): string | undefined {
  if (node.metaserver.address.startsWith('unix:')) return 'running the cluster';
  const own = node.peers.find(({ id }) => id === node.node.id);
  const others = node.peers.some(({ id, state }) => id !== node.node.id && state === 'up');
  return others && (own?.bytesOwned ?? 0) > 0 ? 'serving its files to others' : undefined;
}

function report(mountpoint: string, flags: UnmountFlags, goesOn: string | undefined): void {
  if (flags.json === true) {
    sayJson({ unmounted: mountpoint, nodeGoesOn: goesOn !== undefined });
    return;
  }
  const more = goesOn === undefined ? '' : `; the node goes on ${goesOn} (dfs stop ends it)`;
  say(`dfs: unmounted ${mountpoint}${more}`);
}

export async function runUnmount(call: UnmountCall): Promise<void> {
  const { flags } = call;
  const mountpoint = await resolveMountpoint(call.mountpoint);
  const entry = await requireDfsMount(mountpoint);
  const paths = await statePathsFor(mountpoint, call);
  if (flags.force === true) {
    await forceUnmount({ paths, entry });
    if ((await readMountRecord(paths)) === mountpoint) await removeMountRecord(paths);
    report(mountpoint, flags, undefined);
    return;
  }
  const node = await fetchStatus(paths.control);
  if (node?.mounts.some((mount) => mount.mountpoint === mountpoint) !== true) {
    await unmountOrphan(mountpoint);
    report(mountpoint, flags, undefined);
    return;
  }
  await unmountOrderly(paths, mountpoint);
  const goesOn = reasonToGoOn(node);
  if (goesOn === undefined) await stopAll(paths);
  report(mountpoint, flags, goesOn);
}
