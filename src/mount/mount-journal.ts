/** The journal of the node's mount at its start: what the process before this one has left in it. */
import { linkSync, readFileSync, rmSync } from 'node:fs';
import { native } from '../../native/index.ts';
import { toFsError } from '../common/errno.ts';
import type { ClusterId } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import { type JournalOwner, type Replay, replay } from './core/journal-replay.ts';
import { JournalState } from './core/journal-state.ts';
import { JournalFile, readJournalFile } from './data/journal-file.ts';
import { WriteJournal } from './data/write-journal.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface JournalPlace {
  readonly path: string;
  readonly clusterId: ClusterId;
  readonly log: Logger;
  /** 32 hex digits; of this start of the machine when left out. */
  readonly bootId?: string;
}

export interface LeftJournal {
  /** What of it holds. */
  readonly state: JournalState;
  /** Why not all of it could be understood: then files it does not name may count too. */
  readonly problem: string | undefined;
}

const checksum = (bytes: Uint8Array, offset: number, length: number): number =>
  native.crc32c(0, bytes, offset, length);

/** Changes nothing but that a copy is kept of what cannot be understood. @throws FsError */
export function readMountJournal(place: JournalPlace): LeftJournal {
  const { log, path } = place;
  const bytes = readJournalFile(path);
  if (bytes === undefined) return { state: new JournalState(), problem: undefined };
  const left = replay(bytes, ownerOf(place), checksum);
  const problem = problemOf(left);
  if (problem !== undefined) {
    const kept = keepUnread(path);
    log.error('the journal of what was written cannot be used', { problem, kept });
  }
  if (left.kind === 'other boot') {
    log.warn('the journal of what was written is older than the last start of this machine');
  }
  if (left.kind === 'torn') log.info('the last record of the journal was cut off');
  return { state: stateOf(left), problem };
}

/** Begins it anew with `state`. @throws FsError it cannot be written */
export function openMountJournal(place: JournalPlace, state: JournalState): WriteJournal {
  const sink = new JournalFile(place.path);
  const log = place.log.child('journal');
  return new WriteJournal({ sink, owner: ownerOf(place), checksum, log, state });
}

function ownerOf({ bootId = readBootId(), clusterId }: JournalPlace): JournalOwner {
  return { bootId, clusterId };
}

function stateOf(left: Replay): JournalState {
  switch (left.kind) {
    case 'whole':
    case 'torn':
      return left.state;
    case 'garbled':
      // What was published since is not known: nothing of it may go over what others wrote.
      left.state.fence();
      return left.state;
    case 'other boot':
    case 'foreign':
      return new JournalState();
  }
}

function problemOf(left: Replay): string | undefined {
  switch (left.kind) {
    case 'garbled':
      return 'a record in the middle of it is damaged';
    case 'foreign':
      return left.why;
    case 'whole':
    case 'torn':
    case 'other boot':
      return undefined;
  }
}

function keepUnread(path: string): string {
  const kept = `${path}.unread`;
  try {
    rmSync(kept, { force: true });
    linkSync(path, kept);
  } catch (error) {
    throw toFsError(error, `cannot keep ${path}`);
  }
  return kept;
}

function readBootId(): string {
  try {
    return readFileSync(BOOT_ID, 'latin1').trim().replaceAll('-', '');
  } catch (error) {
    throw toFsError(error, `cannot read ${BOOT_ID}`);
  }
}
