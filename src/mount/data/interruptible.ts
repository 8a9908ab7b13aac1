import { FsError } from '../../common/errno.ts';
import type { RequestContext } from '../driver/driver.ts';

/**
 * Waits for work that goes on for others when this waiter is interrupted.
 * @throws FsError EINTR
 */
export async function interruptible<T>(
  waiter: RequestContext,
  waitsFor: RequestContext['waitsFor'],
  work: Promise<T>,
): Promise<T> {
  waiter.waitsFor = waitsFor;
  const interrupted = new Promise<never>((_, reject) => {
    waiter.interrupt = () => reject(new FsError('EINTR', 'interrupted'));
    if (waiter.interrupted) waiter.interrupt();
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    waiter.interrupt = undefined;
    waiter.waitsFor = undefined;
    work.catch(() => undefined);
  }
}
