/** The state folder of a role in the foreground: its flags are remembered before it starts. */
import { loadConfig } from '../common/config.ts';
import { hasState, makeStateDir } from '../common/state-dir.ts';
import { refuseDfsMount } from '../common/state-location.ts';
import { lockStart } from '../common/state-lock.ts';
import { type CommonFlags, type Environment, note } from './environment.ts';
import { findStateDir } from './find-state.ts';
import { openState, planJoin } from './prepare-state.ts';
import { checkNodeFlags, type NodeFlags, settingsOf } from './settings.ts';

const START_WAIT_MS = 90_000;

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
  const lock = await lockStart(dir, {
    timeoutMs: START_WAIT_MS,
    onWait: () => note('waiting: another command is starting this node'),
  });
  try {
    await openState({ dir, name: flags.name, settings, target, environment });
  } finally {
    await lock[Symbol.asyncDispose]();
  }
  return dir;
}
