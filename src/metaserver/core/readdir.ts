import type { Attr } from '../../common/attr.ts';
import type { Ino } from '../../common/ids.ts';
import { requireDirectory } from './inodes.ts';
import { attrOf, type DirSlot } from './records.ts';
import type { Txn } from './txn.ts';

export interface SeqSlot {
  readonly seq: number;
  readonly slot: DirSlot;
}

export interface DirEntry {
  readonly seq: number;
  readonly name: string;
  readonly ino: Ino;
  readonly type: number;
  readonly attr: Attr | undefined;
}

/** The version to read a page at. */
export function startPage(txn: Txn, ino: Ino): { readonly dirv: number } {
  return { dirv: requireDirectory(txn, ino).dirv };
}

/**
 * Builds entries from slots that a snapshot held. An inode removed since then has no attributes
 * any more; its entry stays, as the page shows the moment it was asked for. A file that somebody
 * else may be writing has none either: a listing does not wait for it.
 */
export function buildPage(
  txn: Txn,
  slots: readonly SeqSlot[],
  withAttrs: boolean,
  isWritten: (ino: Ino) => boolean = () => false,
): DirEntry[] {
  return slots.map(({ seq, slot }) => {
    const shown = withAttrs && !isWritten(slot.ino);
    const inode = shown ? txn.inode(slot.ino) : undefined;
    const attr = inode === undefined ? undefined : attrOf(slot.ino, inode);
    return { seq, name: slot.name, ino: slot.ino, type: slot.type, attr };
  });
}
