/**
 * `dfs stop`: the guardian, so that nothing comes back, then node and metaserver, each in good
 * order and within a bound; never by SIGKILL.
 */
import { FsError } from '../common/errno.ts';
import { isLocked, readPid } from '../common/state-lock.ts';
import type { StatePaths, StateRole } from '../common/state-paths.ts';
import { type CommonFlags, type Environment, note, say, sayJson } from './environment.ts';
import { findState } from './find-state.ts';
import { endGuardian } from './guardian.ts';
import { postStop } from './node-client.ts';
import { waitUntilGone } from './start-node.ts';

const PATIENCE_MS = 1_000;
/** Longer than the process gives itself. */
const STOP_MS = 100_000;

/** @returns whether it ran */
async function stopRole(paths: StatePaths, role: StateRole, socketPath: string): Promise<boolean> {
  if (isLocked(paths, role) === false) return false;
  const asked = await postStop(socketPath);
  if (!asked && isLocked(paths, role) !== true) return false;
  const patience = setTimeout(() => {
    note(`waiting for the ${role} to write back what is dirty and end`);
  }, PATIENCE_MS);
  const gone = await waitUntilGone(paths, role, STOP_MS);
  clearTimeout(patience);
  if (gone) return true;
  const pid = await readPid(paths, role);
  throw new FsError(
    'ETIMEDOUT',
    `the ${role} (pid ${pid ?? 'unknown'}) did not end within ${STOP_MS / 1000} s; see ${paths.log}`,
  );
}

export async function runStop(flags: CommonFlags, environment: Environment): Promise<void> {
  const { paths, dir } = await findState({ environment, flag: flags.state });
  const stopped = await stopAll(paths);
  if (flags.json === true) {
    sayJson({ stateDir: dir, stopped });
    return;
  }
  const names = [stopped.node ? 'node' : '', stopped.metaserver ? 'metaserver' : ''];
  const ended = names.filter(Boolean).join(' and ');
  say(ended === '' ? 'dfs: nothing was running' : `dfs: stopped ${ended}`);
}

/** @returns what ran; only the caller knows whether that is worth a word */
export async function stopAll(
  paths: StatePaths,
): Promise<{ readonly node: boolean; readonly metaserver: boolean }> {
  await endGuardian(paths);
  const node = await stopRole(paths, 'node', paths.control);
  const metaserver = await stopRole(paths, 'metaserver', paths.metaserverControl);
  return { node, metaserver };
}
