import type { GroupId, Ino } from '../../common/ids.ts';
import type { Txn } from './txn.ts';

/** The primary of these groups deleted the backing files; a repeat is harmless. */
export function finishReclaim(txn: Txn, inos: readonly Ino[], rgs: ReadonlySet<GroupId>): void {
  for (const ino of inos) {
    const rg = txn.reclaim(ino);
    if (rg !== undefined && rgs.has(rg)) txn.deleteReclaim(ino);
  }
}
