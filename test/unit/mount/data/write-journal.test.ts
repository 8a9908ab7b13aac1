import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asGroupId, asIno, type Ino } from '../../../../src/common/ids.ts';
import { replay } from '../../../../src/mount/core/journal-replay.ts';
import type { JournalState } from '../../../../src/mount/core/journal-state.ts';
import type { WriteJournal } from '../../../../src/mount/data/write-journal.ts';
import { Inode } from '../../../../src/mount/vfs/inode.ts';
import { checksum, journalOn, MemoryJournal, OWNER } from '../../../support/memory-journal.ts';
import { Random } from '../../../support/random.ts';

const MIB = 1024 * 1024;
const NOW = { sec: 1000, nsec: 0 };

function inodeOf(ino: Ino): Inode {
  const made = { sec: NOW.sec - 1, nsec: 0 };
  const times = { atime: made, mtime: made, ctime: made };
  const owner = { mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0 };
  const versions = { av: 1, dirv: 0, dv: 1, cuts: 0, rg: asGroupId(1) };
  return new Inode({ ino, size: 0, ...owner, ...times, ...versions });
}

/** Nanoseconds since NOW. */
function write(
  journal: WriteJournal,
  inode: Inode,
  [start, end]: [number, number],
  nsec = 0,
): void {
  inode.wrote(end, { ...NOW, nsec });
  journal.wrote(inode, { start, end });
}

function left(sink: MemoryJournal): JournalState {
  const replayed = replay(sink.content, OWNER, checksum);
  assert(replayed.kind === 'whole');
  return replayed.state;
}

function told(state: Pick<JournalState, 'files'>): unknown {
  return [...state.files.values()].map(({ ranges, ...file }) => ({
    ...file,
    ranges: [...ranges.ranges()],
  }));
}

test('a write that changes nothing of what is known costs no record', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  const inode = inodeOf(asIno(2000));
  write(journal, inode, [0, 100]);
  assert.equal(sink.appended, 1);
  write(journal, inode, [10, 20]);
  write(journal, inode, [0, 100], 3_000_000);
  assert.equal(sink.appended, 1, 'within a tick');
  write(journal, inode, [0, 100], 4_000_000);
  assert.equal(sink.appended, 2, 'a later time');
  write(journal, inode, [90, 101], 4_000_000);
  assert.equal(sink.appended, 3, 'one byte more');
  inode.lseq = 7;
  write(journal, inode, [0, 1], 4_000_000);
  assert.equal(sink.appended, 4, 'a younger lease');
  assert.deepEqual(told(left(sink)), told(journal));
});

test('a file is as long as what is left of it says', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  const inode = inodeOf(asIno(2000));
  write(journal, inode, [0, 100]);
  const { dirty } = inode;
  write(journal, inode, [50, 60], 5_000_000);
  if (dirty !== undefined) inode.clean(dirty);
  journal.left(inode, [{ start: 50, end: 60 }]);
  assert.deepEqual(told(left(sink)), told(journal));
  assert.deepEqual(left(sink).files.get(inode.ino)?.ranges.ranges(), [{ start: 50, end: 60 }]);
  inode.resized();
  journal.left(inode, []);
  assert.deepEqual(told(left(sink)), []);
});

test('a long journal is written anew when little of it counts', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  const inode = inodeOf(asIno(2000));
  journal.asked(5);
  journal.welcomed(5, 9);
  for (let at = 0; at < 40_000; at += 1) write(journal, inode, [at, at + 1]);
  assert.ok(sink.replaced > 1, 'it was written anew');
  assert.ok(sink.bytes <= MIB + 100, `${sink.bytes} bytes`);
  assert.deepEqual(told(left(sink)), told(journal));
  assert.deepEqual(left(sink).instances, [5]);
  assert.equal(left(sink).sid, 9);
});

test('a long journal of which much counts is not written anew all the time', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  const inode = inodeOf(asIno(2000));
  for (let at = 0; at < 60_000; at += 1) write(journal, inode, [2 * at, 2 * at + 1]);
  assert.ok(sink.replaced <= 5, `${sink.replaced} times`);
  assert.deepEqual(told(left(sink)), told(journal));
});

test('who may have the session is known until one of them is welcomed', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  journal.asked(1);
  journal.welcomed(1, 9);
  write(journal, inodeOf(asIno(2000)), [0, 1]);
  const second = journalOn(sink, left(sink));
  second.asked(2);
  assert.deepEqual(second.follows(2), [1]);
  // It dies unwelcomed; it may have the session all the same.
  const third = journalOn(sink, left(sink));
  third.asked(3);
  assert.deepEqual(third.follows(3), [1, 2]);
  third.welcomed(3, 9);
  assert.deepEqual(third.follows(3), []);
  assert.equal(third.files.get(asIno(2000))?.isFenced, false);
  const fourth = journalOn(sink, left(sink));
  fourth.asked(4);
  assert.deepEqual(fourth.follows(4), [3]);
  fourth.welcomed(4, 10);
  assert.equal(fourth.files.get(asIno(2000))?.isFenced, true);
});

test('nobody is followed when nothing is left', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  journal.asked(1);
  journal.welcomed(1, 9);
  const inode = inodeOf(asIno(2000));
  write(journal, inode, [0, 1]);
  journal.clean(inode.ino);
  assert.deepEqual(journalOn(sink, left(sink)).follows(2), []);
});

test('a journal that lacks a record is not there at all, until there is room again', () => {
  const sink = new MemoryJournal();
  const journal = journalOn(sink);
  const inode = inodeOf(asIno(2000));
  write(journal, inode, [0, 1]);
  sink.isFull = true;
  assert.throws(() => write(journal, inode, [1, 2]), { code: 'ENOSPC' });
  assert.deepEqual(
    [...(left(sink).files.get(inode.ino)?.ranges.ranges() ?? [])],
    [{ start: 0, end: 1 }],
  );
  journal.clean(inode.ino);
  assert.equal(sink.bytes, 0, 'old bytes must not be published again');
  assert.equal(journal.files.size, 0);
  sink.isFull = false;
  write(journal, inodeOf(asIno(2001)), [5, 6]);
  assert.deepEqual(told(left(sink)), told(journal));
  assert.deepEqual([...left(sink).files.keys()], [2001]);
});

test('whatever happens, the file says what the journal knows', () => {
  const random = Random.fromEnvironment();
  for (let run = 0; run < 50; run += 1) {
    const sink = new MemoryJournal();
    let journal = journalOn(sink);
    const inodes = [2000, 2001, 2002].map((ino) => inodeOf(asIno(ino)));
    for (let step = 0; step < 100; step += 1) {
      act(random, journal, random.pick(inodes));
      sink.isFull = random.chance(0.05);
      if (sink.bytes === 0) continue;
      assert.deepEqual(told(left(sink)), told(journal), `seed ${random.seed} run ${run} ${step}`);
      if (random.chance(0.05) && !sink.isFull) journal = journalOn(sink, left(sink));
    }
  }
});

function act(random: Random, journal: WriteJournal, inode: Inode): void {
  const start = random.below(50);
  const end = start + 1 + random.below(20);
  switch (random.below(6)) {
    case 0:
      inode.resized();
      journal.left(inode, []);
      return;
    case 1:
      journal.left(inode, [{ start, end }]);
      return;
    case 2:
      inode.lseq += 1;
      journal.rose(inode);
      return;
    case 3:
      journal.clean(inode.ino);
      return;
    default:
      try {
        write(journal, inode, [start, end], random.below(2) * 5_000_000);
      } catch {
        // There was no room: the write is answered with that.
      }
  }
}
