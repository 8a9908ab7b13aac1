/**
 * `dfs unmount --force`: the mount is gone within five seconds, whatever hangs. A node that
 * answers detaches it and goes on writing back; otherwise the kernel ends the connection, which
 * fails every waiting call, and the mount is taken out of the tree.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { FsError, toFsError } from '../common/errno.ts';
import { within } from '../common/lifecycle.ts';
import { abortConnection, findMount, type MountEntry } from '../common/mount-table.ts';
import type { StatePaths } from '../common/state-paths.ts';
import { note } from './environment.ts';
import { sentence } from './failure.ts';
import { detachMount } from './mountpoint.ts';
import { postUnmount } from './node-client.ts';

const NODE_MS = 2_000;
const STEP_MS = 1_000;
const CONTROL_DIR = '/sys/fs/fuse/connections';

export interface ForceOptions {
  readonly paths: StatePaths;
  readonly entry: MountEntry;
}

/** The node's own way; whatever goes wrong with it is what --force is for. */
async function askNode({ paths, entry }: ForceOptions): Promise<void> {
  try {
    await postUnmount(paths, { mountpoint: entry.mountpoint, force: true, timeoutMs: NODE_MS });
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    note(`the node does not help (${sentence(error)}); ending the connection in the kernel`);
  }
}

/** The FUSE control filesystem is not mounted everywhere; only root can change that. */
async function mountControlFilesystem(): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const child = spawn('mount', ['-t', 'fusectl', 'fusectl', CONTROL_DIR], { stdio: 'ignore' });
  await within(
    new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('close', () => resolve());
    }),
    STEP_MS,
    'mounting the FUSE control filesystem',
  );
}

async function abort(entry: MountEntry): Promise<void> {
  try {
    if (!existsSync(`${CONTROL_DIR}/${entry.minor}`)) await mountControlFilesystem();
    await within(abortConnection(entry), STEP_MS, 'ending the FUSE connection');
  } catch (error) {
    note(sentence(toFsError(error, 'cannot end the FUSE connection')));
  }
}

/** @throws FsError EBUSY when even the kernel kept it */
export async function forceUnmount(options: ForceOptions): Promise<void> {
  const { mountpoint, minor } = options.entry;
  await askNode(options);
  const left = await findMount(mountpoint);
  if (left === undefined || left.minor !== minor) return;
  await abort(left);
  await within(detachMount(mountpoint), STEP_MS, `detaching ${mountpoint}`);
  if ((await findMount(mountpoint))?.minor !== minor) return;
  throw new FsError('EBUSY', `${mountpoint} is still mounted: the kernel did not let go of it`);
}
