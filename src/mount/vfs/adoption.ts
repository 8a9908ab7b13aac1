/**
 * Takes over what an earlier process of the node has written and not published (rule C16 of
 * docs/PROTOCOL.md): inodes as they were for it, as far as that matters. Before recalls are heard
 * and before the kernel asks for anything.
 */
import { type Attr, isRegular } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import type { Logger } from '../../common/log.ts';
import { IntervalSet } from '../core/intervals.ts';
import type { Unpublished } from '../core/journal-state.ts';
import type { FileData } from '../data/file-data.ts';
import type { WriteJournal } from '../data/write-journal.ts';
import type { MetaClient } from '../meta-client.ts';
import type { InodeTable } from './inode.ts';

/** Questions under way at a time. */
const PARALLEL = 64;
const GONE = new Set(['ENOENT', 'ESTALE']);

export interface AdoptionOptions {
  readonly meta: Pick<MetaClient, 'getattr'>;
  readonly data: FileData;
  readonly inodes: InodeTable;
  readonly journal: Pick<WriteJournal, 'files' | 'clean'>;
  readonly log: Logger;
}

/** @throws FsError the metaserver does not answer; what is not taken over stays in the journal */
export async function adopt(options: AdoptionOptions): Promise<void> {
  const queue = [...options.journal.files.keys()].values();
  const work = async (): Promise<void> => {
    for (const ino of queue) await adoptOne(options, ino);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

async function adoptOne(options: AdoptionOptions, ino: Ino): Promise<void> {
  const { data, inodes, journal, log } = options;
  const attr = await look(options, ino);
  // Now, not before: the session may have ended while the metaserver was asked.
  const left = journal.files.get(ino);
  if (left === undefined) return;
  if (attr === undefined) {
    log.info('what was written to a file that was removed since is dropped', { ino });
    data.forget(left);
    return;
  }
  if (left.isLocal !== data.isLocal(attr)) {
    // A file belongs to one group, and a group to one peer, so this does not happen.
    log.error('a file has another home than when it was written: it is left alone', { ino });
    return;
  }
  const { end, ranges } = uncut(left, attr);
  const inode = inodes.remember(attr);
  inode.restore({ end, mtime: left.mtime });
  inode.lseq = Math.max(inode.lseq, left.lseq);
  inode.fenced = left.isFenced;
  if (data.of(inode).adopt(inode, ranges)) return;
  // One that was fenced is in lost+found: that comes first, then the journal.
  if (!left.isFenced) log.error('what was written to a file is not there any more', { ino });
  inode.resized();
  journal.clean(ino);
  inodes.settle(inode);
}

/** @returns undefined when it is gone, or no file with bytes */
async function look({ meta }: AdoptionOptions, ino: Ino): Promise<Attr | undefined> {
  try {
    const attr = await meta.getattr(undefined, ino, { committed: true, noGrant: true });
    return isRegular(attr.mode) ? attr : undefined;
  } catch (error) {
    if (error instanceof FsError && GONE.has(error.code)) return undefined;
    throw error;
  }
}

/** A cut the process before asked for, and did not live to note: what lay behind it is gone. */
function uncut(left: Unpublished, attr: Attr): { end: number; ranges: IntervalSet } {
  const { cuts, end, isFenced, isLocal, ranges } = left;
  if (cuts === attr.cuts || (isFenced && !isLocal)) return { end, ranges };
  const rest = new IntervalSet();
  rest.addAll(ranges);
  rest.clip(attr.size);
  return { end: Math.min(end, attr.size), ranges: rest };
}
