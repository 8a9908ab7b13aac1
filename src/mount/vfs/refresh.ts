import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
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
    throw notByName(error, inode.ino, inode);
  }
}

/**
 * What to tell of a failed question about an inode: ENOENT would be about the name that led there,
 * which may lead elsewhere by now. ESTALE makes the kernel walk the path once more.
 * @param known notes that it is gone
 */
export function notByName(error: unknown, ino: Ino, known?: Inode): unknown {
  if (!(error instanceof FsError && error.code === 'ENOENT')) return error;
  if (known !== undefined) known.gone = true;
  return new FsError('ESTALE', `ino ${ino} was removed`, { cause: error });
}
