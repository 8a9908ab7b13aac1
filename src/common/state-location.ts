/** Which folder is meant when none is named, and which ones can never be one. */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { FsError } from './errno.ts';
import { DFS_MOUNT_TYPE, mountOf } from './mount-table.ts';

export interface StateEnvironment {
  /** --state */
  readonly flag?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** Root's folder, which commands of other users look at too. */
export const SYSTEM_STATE_DIR = '/var/lib/dfs';

/** Whether the user named the folder, so that looking elsewhere would be wrong. */
export function isStateNamed(environment: StateEnvironment): boolean {
  return environment.flag !== undefined || (environment.env['DFS_STATE'] ?? '') !== '';
}

/** --state, else $DFS_STATE, else the default of this user. Absolute; nothing is looked up. */
export function resolveStateDir({ flag, env, uid }: StateEnvironment): string {
  if (flag !== undefined) return resolve(flag);
  const named = env['DFS_STATE'] ?? '';
  if (named !== '') return resolve(named);
  if (uid === 0) return SYSTEM_STATE_DIR;
  const xdg = env['XDG_STATE_HOME'] ?? '';
  // The XDG specification ignores relative paths.
  const base = isAbsolute(xdg) ? xdg : join(homedir(), '.local', 'state');
  return join(base, 'dfs');
}

/**
 * A state folder on a dfs mount would wait for itself.
 * @throws FsError EINVAL when `dir` lies on one
 */
export async function refuseDfsMount(dir: string): Promise<void> {
  const mount = await mountOf(dir);
  if (mount?.type !== DFS_MOUNT_TYPE) return;
  throw new FsError(
    'EINVAL',
    `${dir} lies on the dfs mount ${mount.mountpoint}: a state folder must be on a local disk (--state)`,
  );
}
