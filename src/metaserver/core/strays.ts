import { isRegular } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { GroupId, Ino } from '../../common/ids.ts';
import type { Txn } from './txn.ts';

/**
 * Of these backing files of a node those whose bytes belong to no file of it, and which are not
 * about to be deleted either. One whose inode cannot be read is none of them.
 */
export function straysOf(txn: Txn, inos: readonly Ino[], isHome: (rg: GroupId) => boolean): Ino[] {
  return inos.filter((ino) => {
    try {
      if (txn.reclaim(ino) !== undefined) return false;
      const inode = txn.inode(ino);
      return inode === undefined || !isRegular(inode.mode) || !isHome(inode.rg);
    } catch (error) {
      if (error instanceof FsError) return false;
      throw error;
    }
  });
}
