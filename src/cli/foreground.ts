/** `dfs mount --foreground`: stays while the mount is served, for service managers. */
import { delay, signalProcess } from '../common/lifecycle.ts';
import { isLocked, readPid } from '../common/state-lock.ts';
import type { StatePaths } from '../common/state-paths.ts';
import { note } from './environment.ts';
import { readMountRecord } from './mount-record.ts';
import { type Started, stopStarted } from './start-node.ts';

const POLL_MS = 300;

/** Returns when the node has ended or serves the mount no more. */
export async function followNode(paths: StatePaths, started: Started): Promise<void> {
  const pid = await readPid(paths, 'node');
  const onSignal = (signal: NodeJS.Signals): void => {
    note(`${signal}: ending the node in good order`);
    if (pid !== undefined && isLocked(paths, 'node') === true) signalProcess(pid, signal);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  while (isLocked(paths, 'node') === true && (await readMountRecord(paths)) !== undefined) {
    await delay(POLL_MS);
  }
  await stopStarted(paths, started);
}
