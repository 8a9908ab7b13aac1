/** What becomes of files when the leases of a session fall that did not give them up (rule C14). */
import { isRegular } from '../../common/attr.ts';
import type { Ino } from '../../common/ids.ts';
import type { Txn } from './txn.ts';

/**
 * It may have written to these at their homes, and not have published that: what others have cached
 * of them counts no more, so that all see the same bytes.
 */
export function doubtData(txn: Txn, inos: Iterable<Ino>): void {
  for (const ino of inos) {
    const inode = txn.inode(ino);
    if (inode === undefined || !isRegular(inode.mode)) continue;
    txn.putInode(ino, { ...inode, av: inode.av + 1, dv: inode.dv + 1 });
  }
}
