import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno, type Ino } from '../../../../src/common/ids.ts';
import { type Interval, IntervalSet } from '../../../../src/mount/core/intervals.ts';
import {
  decodeRecord,
  type JournalRecord,
  RecordEncoder,
  type UnpublishedFile,
} from '../../../../src/mount/core/journal-record.ts';
import { encodeHeader, HEADER_BYTES, replay } from '../../../../src/mount/core/journal-replay.ts';
import { JournalState } from '../../../../src/mount/core/journal-state.ts';
import { checksum, OWNER } from '../../../support/memory-journal.ts';
import { Random } from '../../../support/random.ts';

const FILE: UnpublishedFile = {
  ino: asIno(70_000),
  isLocal: false,
  isFenced: true,
  cuts: 3,
  lseq: 2 ** 40 + 7,
  end: 2 ** 52 + 9,
  mtime: { sec: -2, nsec: 999_999_999 },
};
const RECORDS: readonly JournalRecord[] = [
  { kind: 'asked', instance: 2 ** 47 - 1 },
  { kind: 'welcomed', instance: 7, sid: 12 },
  { kind: 'wrote', file: FILE, ranges: [{ start: 2 ** 33 + 1, end: 2 ** 52 + 9 }] },
  { kind: 'wrote', file: { ...FILE, isLocal: true, isFenced: false }, ranges: [] },
  {
    kind: 'left',
    file: FILE,
    ranges: [
      { start: 0, end: 5 },
      { start: 9, end: 10 },
    ],
  },
  { kind: 'rose', ino: FILE.ino, lseq: 2 ** 45 },
  { kind: 'clean', ino: FILE.ino },
];

function journalOf(records: readonly JournalRecord[]): Uint8Array {
  const encoder = new RecordEncoder(checksum);
  const parts = records.map((record) => encoder.encode(record).slice());
  return Buffer.concat([encodeHeader(OWNER, checksum), ...parts]);
}

/** What it says, to be compared. */
function told(state: JournalState): unknown {
  const files = [...state.files.values()].map(({ ranges, ...file }) => ({
    ...file,
    ranges: [...ranges.ranges()],
  }));
  return {
    instances: [...state.instances],
    sid: state.sid,
    files: files.sort((a, b) => a.ino - b.ino),
  };
}

test('every record is read as it was written', () => {
  const bytes = journalOf(RECORDS);
  let at = HEADER_BYTES;
  for (const record of RECORDS) {
    const decoded = decodeRecord(bytes, at, checksum);
    assert.deepEqual(decoded?.record, record);
    at = decoded?.next ?? 0;
  }
  assert.equal(at, bytes.length);
});

/** What the state must come to, kept as sets of positions. */
class Model {
  readonly files = new Map<Ino, { file: UnpublishedFile; positions: Set<number> }>();
  instances: number[] = [];
  sid = 0;

  apply(record: JournalRecord): void {
    switch (record.kind) {
      case 'asked':
        if (!this.instances.includes(record.instance)) this.instances.push(record.instance);
        return;
      case 'welcomed':
        if (this.sid !== record.sid) {
          for (const entry of this.files.values()) entry.file = { ...entry.file, isFenced: true };
        }
        this.instances = [record.instance];
        this.sid = record.sid;
        return;
      case 'wrote':
        this.#put(record.file, this.files.get(record.file.ino)?.positions ?? [], record.ranges);
        return;
      case 'left':
        this.#put(record.file, [], record.ranges);
        return;
      case 'rose': {
        const entry = this.files.get(record.ino);
        if (entry !== undefined && entry.file.lseq < record.lseq) {
          entry.file = { ...entry.file, lseq: record.lseq };
        }
        return;
      }
      case 'clean':
        this.files.delete(record.ino);
    }
  }

  told(): unknown {
    const files = [...this.files.values()].map(({ file, positions }) => {
      const ranges = new IntervalSet();
      for (const position of positions) ranges.add(position, position + 1);
      return { ...file, ranges: [...ranges.ranges()] };
    });
    return {
      instances: this.instances,
      sid: this.sid,
      files: files.sort((a, b) => a.ino - b.ino),
    };
  }

  #put(file: UnpublishedFile, known: Iterable<number>, ranges: readonly Interval[]): void {
    const positions = new Set(known);
    for (const { start, end } of ranges) {
      for (let position = start; position < end; position += 1) positions.add(position);
    }
    this.files.set(file.ino, { file, positions });
  }
}

function randomRecord(random: Random): JournalRecord {
  const ino = asIno(2000 + random.below(4));
  const file: UnpublishedFile = {
    ino,
    isLocal: ino === 2000,
    isFenced: random.below(10) === 0,
    cuts: random.below(3),
    lseq: random.below(50),
    end: random.below(40),
    mtime: { sec: random.below(9), nsec: random.below(9) },
  };
  const count = file.isLocal ? 0 : 1 + random.below(3);
  const ranges = Array.from({ length: count }, () => {
    const start = random.below(30);
    return { start, end: start + 1 + random.below(8) };
  });
  switch (random.below(8)) {
    case 0:
      return { kind: 'asked', instance: 1 + random.below(5) };
    case 1:
      return { kind: 'welcomed', instance: 1 + random.below(5), sid: 1 + random.below(2) };
    case 2:
      return { kind: 'left', file, ranges };
    case 3:
      return { kind: 'rose', ino, lseq: random.below(60) };
    case 4:
      return { kind: 'clean', ino };
    default:
      return { kind: 'wrote', file, ranges: ranges.slice(0, 1) };
  }
}

test('replaying comes to what happened, also from the fewest records', () => {
  const random = Random.fromEnvironment();
  for (let run = 0; run < 200; run += 1) {
    const records = Array.from({ length: random.below(40) }, () => randomRecord(random));
    const model = new Model();
    for (const record of records) model.apply(record);
    const replayed = replay(journalOf(records), OWNER, checksum);
    assert(replayed.kind === 'whole');
    assert.deepEqual(told(replayed.state), model.told(), `seed ${random.seed} run ${run}`);
    const shortest = replay(journalOf([...replayed.state.records()]), OWNER, checksum);
    assert(shortest.kind === 'whole');
    assert.deepEqual(told(shortest.state), model.told(), `seed ${random.seed} run ${run}`);
  }
});

test('cut off at any byte, it says what was so before the record that was cut', () => {
  const random = Random.fromEnvironment();
  for (let run = 0; run < 5; run += 1) {
    const records = Array.from({ length: 12 }, () => randomRecord(random));
    const bytes = journalOf(records);
    let [whole, next] = [0, HEADER_BYTES];
    const state = new JournalState();
    for (let length = HEADER_BYTES; length <= bytes.length; length += 1) {
      if (length === next) {
        const record = records[whole - 1];
        if (record !== undefined) state.apply(record);
        next = decodeRecord(bytes, next, checksum)?.next ?? 0;
        whole += 1;
      }
      const cut = replay(bytes.subarray(0, length), OWNER, checksum);
      const isWhole = length === bytes.length || decodesUpTo(bytes, length);
      assert.equal(cut.kind, isWhole ? 'whole' : 'torn', `${length} bytes`);
      assert('state' in cut);
      assert.deepEqual(told(cut.state), told(state), `seed ${random.seed} run ${run} ${length}`);
    }
  }
});

/** A record ends there. */
function decodesUpTo(bytes: Uint8Array, length: number): boolean {
  let at = HEADER_BYTES;
  while (at < length) at = decodeRecord(bytes, at, checksum)?.next ?? Number.POSITIVE_INFINITY;
  return at === length;
}

test('any damage in front of a record is noticed', () => {
  const bytes = journalOf(RECORDS);
  const last = 32;
  for (let at = HEADER_BYTES; at < bytes.length - last; at += 1) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 0x40;
    assert.equal(replay(damaged, OWNER, checksum).kind, 'garbled', `byte ${at}`);
  }
  const torn = bytes.slice();
  torn[bytes.length - 3] = 0xff;
  assert.equal(replay(torn, OWNER, checksum).kind, 'torn');
});

test('a journal of another start, another cluster or another version is not used', () => {
  const bytes = journalOf(RECORDS);
  const kindFor = (owner: typeof OWNER): string => replay(bytes, owner, checksum).kind;
  assert.equal(kindFor(OWNER), 'whole');
  assert.equal(kindFor({ ...OWNER, bootId: '01'.repeat(16) }), 'other boot');
  assert.equal(kindFor({ ...OWNER, clusterId: '01'.repeat(16) }), 'foreign');
  const newer = bytes.slice();
  newer[8] = 2;
  assert.deepEqual(replay(newer, OWNER, checksum), { kind: 'foreign', why: 'it has format 2' });
  for (let length = 0; length < HEADER_BYTES; length += 1) {
    assert.equal(replay(bytes.subarray(0, length), OWNER, checksum).kind, 'foreign');
  }
});
