import { FsError } from '../../common/errno.ts';
import type { RequestContext } from '../driver/driver.ts';
import type { MetaClient } from '../meta-client.ts';
import type { Inode } from './inode.ts';

/**
 * The inode takes over what the metaserver says now. It is asked under a lease, or to publish what
 * was written under one, and so waits for nobody else's.
 * @throws FsError ESTALE it is gone
 */
export async function refresh(
  meta: MetaClient,
  inode: Inode,
  waiter: RequestContext | undefined,
): Promise<void> {
  try {
    inode.update(await meta.getattr(waiter, inode.ino, { committed: true, noGrant: true }));
  } catch (error) {
    if (!(error instanceof FsError && error.code === 'ENOENT')) throw error;
    inode.gone = true;
    throw new FsError('ESTALE', `ino ${inode.ino} was removed`, { cause: error });
  }
}
