/** One starting command at a time on a folder; the others say that they wait. */
import { lockStart } from '../common/state-lock.ts';
import { note } from './environment.ts';

const START_WAIT_MS = 90_000;

/** @throws FsError ETIMEDOUT the command before this one does not come to an end; else as `work` */
export async function underStartLock<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockStart(dir, {
    timeoutMs: START_WAIT_MS,
    onWait: () => note('waiting: another command is starting this node'),
  });
  try {
    return await work();
  } finally {
    await lock[Symbol.asyncDispose]();
  }
}
