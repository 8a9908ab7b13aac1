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

/** The version to read a page at, and what '..' names. */
export function startPage(txn: Txn, ino: Ino): { readonly dirv: number; readonly parent: Ino } {
  const dir = requireDirectory(txn, ino);
  return { dirv: dir.dirv, parent: dir.parent };
}

/**
 * Builds entries from slots that a snapshot held. An inode removed since then has no attributes
 * any more; its entry stays, as the page shows the moment it was asked for.
 */
export function buildPage(txn: Txn, slots: readonly SeqSlot[], withAttrs: boolean): DirEntry[] {
  return slots.map(({ seq, slot }) => {
    const inode = withAttrs ? txn.inode(slot.ino) : undefined;
    const attr = inode === undefined ? undefined : attrOf(slot.ino, inode);
    return { seq, name: slot.name, ino: slot.ino, type: slot.type, attr };
  });
}
