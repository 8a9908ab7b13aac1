import type { Ino, SessionId } from '../../common/ids.ts';
import { deleteInode } from './inodes.ts';
import type { Txn } from './txn.ts';

/**
 * The session's last handle on an unlinked inode is gone; with the last opener the inode goes.
 * Inos the session does not keep are ignored, so a repeat is harmless.
 */
export function closeUnlinked(txn: Txn, ino: Ino, sid: SessionId): void {
  if (!txn.hasOpener(ino, sid)) return;
  txn.deleteOpener(ino, sid);
  const inode = txn.inode(ino);
  if (inode === undefined) return;
  const openers = inode.openers - 1;
  if (openers > 0 || inode.nlink > 0) txn.putInode(ino, { ...inode, openers });
  else deleteInode(txn, ino, inode);
}
