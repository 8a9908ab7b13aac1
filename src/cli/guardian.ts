/** Starts and ends the guardian, which starts the processes of a node again after a crash. */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FsError } from '../common/errno.ts';
import { delay, signalProcess } from '../common/lifecycle.ts';
import type { LoadedState } from '../common/state-dir.ts';
import { isLocked } from '../common/state-lock.ts';
import type { StatePaths } from '../common/state-paths.ts';
import { type Environment, note } from './environment.ts';
import { readSupervision } from './guardian-report.ts';
import { waitUntilGone } from './start-node.ts';
import { openLog } from './start-role.ts';

const POLL_MS = 10;
const START_MS = 3_000;
const END_MS = 5_000;

/** Beside the addon, in the checkout that main.js was built from. */
function executable(program: string): string {
  return join(dirname(program), '../../../build/Release/dfs-guardian');
}

/** One that runs already stays. Without one everything works, until something crashes. */
export async function startGuardian(state: LoadedState, environment: Environment): Promise<void> {
  const { dir, paths, roles } = state;
  if (isLocked(paths, 'guardian') !== false) return;
  const log = openLog(join(paths.log, 'guardian.log'));
  const metaserver = roles.includes('metaserver') ? ['--metaserver'] : [];
  const child = spawn(
    executable(environment.program),
    [dir, process.execPath, environment.program, ...metaserver],
    { cwd: '/', detached: true, stdio: ['ignore', log, log], env: { ...environment.env } },
  );
  closeSync(log);
  let failure = '';
  child.once('error', (error) => {
    failure = `: ${error.message}`;
  });
  child.unref();
  for (let waitedMs = 0; waitedMs < START_MS && failure === ''; waitedMs += POLL_MS) {
    if ((await readSupervision(paths)).state === 'up') return;
    await delay(POLL_MS);
  }
  note(
    `note: the guardian does not run, so nothing starts this node again after a crash${failure}`,
  );
}

/** From then on nothing comes back that ends. @throws FsError EBUSY it cannot be ended */
export async function endGuardian(paths: StatePaths): Promise<void> {
  if (isLocked(paths, 'guardian') === false) return;
  const { pid } = await readSupervision(paths);
  if (pid !== null) signalProcess(pid, 'SIGTERM');
  if (await waitUntilGone(paths, 'guardian', END_MS)) return;
  // Stopped, perhaps. It holds nothing that could be lost.
  if (pid !== null) signalProcess(pid, 'SIGKILL');
  if (await waitUntilGone(paths, 'guardian', END_MS)) return;
  throw new FsError('EBUSY', `the guardian of ${paths.dir} (pid ${pid ?? 'unknown'}) does not end`);
}
