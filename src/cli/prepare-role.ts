/** The state folder of a role in the foreground: its flags are remembered before it starts. */
import { loadConfig } from '../common/config.ts';
import { hasState, makeStateDir } from '../common/state-dir.ts';
import { refuseDfsMount } from '../common/state-location.ts';
import type { CommonFlags, Environment } from './environment.ts';
import { findStateDir } from './find-state.ts';
import { openState, planJoin } from './prepare-state.ts';
import { checkNodeFlags, type NodeFlags, settingsOf } from './settings.ts';
import { underStartLock } from './start-lock.ts';

/**
 * Joins first where --join asks for it; never founds.
 * @returns the folder · @throws FsError why it cannot be joined · UsageError
 */
export async function prepareRole(
  flags: CommonFlags & NodeFlags,
  environment: Environment,
): Promise<string> {
  checkNodeFlags(flags);
  const { join } = flags;
  const dir = await findStateDir({ environment, flag: flags.state });
  const settings = settingsOf(flags);
  const exists = await hasState(dir);
  if (join === undefined && (!exists || Object.keys(settings).length === 0)) return dir;
  await refuseDfsMount(dir);
  const config = exists ? await loadConfig(dir) : {};
  const target = await planJoin({ dir, join, config, settings, environment });
  await makeStateDir(dir);
  await underStartLock(dir, () =>
    openState({ dir, name: flags.name, settings, target, environment }),
  );
  return dir;
}
