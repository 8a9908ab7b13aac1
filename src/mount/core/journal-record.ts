/**
 * Records of the mount's journal as bytes (docs/FORMAT.md has the layout): what of each file is
 * written and not published, and which processes may have the session it was written in. Rule C16
 * of docs/PROTOCOL.md.
 */
import type { Timespec } from '../../common/attr.ts';
import { asIno, type Ino } from '../../common/ids.ts';
import type { Interval } from './intervals.ts';

/** What is known of an unpublished file besides its ranges. */
export interface UnpublishedFile {
  readonly ino: Ino;
  /** Its bytes are in the backing file of this machine. */
  readonly isLocal: boolean;
  /** It was written in a session that is over. */
  readonly isFenced: boolean;
  /** Under which cuts it was written. */
  readonly cuts: number;
  /** The youngest lease a call about it was made under. */
  readonly lseq: number;
  /** The file is at least this long. */
  readonly end: number;
  readonly mtime: Timespec;
}

export type JournalRecord =
  /** A process asks for the session. */
  | { readonly kind: 'asked'; readonly instance: number }
  | { readonly kind: 'welcomed'; readonly instance: number; readonly sid: number }
  /** These ranges are unpublished too; the rest is as it is now. */
  | {
      readonly kind: 'wrote';
      readonly file: UnpublishedFile;
      readonly ranges: readonly Interval[];
    }
  /** These ranges, and no other ones, are unpublished. */
  | { readonly kind: 'left'; readonly file: UnpublishedFile; readonly ranges: readonly Interval[] }
  | { readonly kind: 'rose'; readonly ino: Ino; readonly lseq: number }
  /** Nothing is unpublished. */
  | { readonly kind: 'clean'; readonly ino: Ino };

/** CRC32C of a range. */
export type Checksum = (bytes: Uint8Array, offset: number, length: number) => number;

/** In this order: their places are their numbers in the file, less one. */
const KINDS = ['asked', 'welcomed', 'wrote', 'left', 'rose', 'clean'] as const;
const LOCAL = 1;
const FENCED = 2;
const HEAD_BYTES = 16;
const FILE_BYTES = 56;
const RANGE_BYTES = 16;
const ALIGN = 8;
const HALF = 2 ** 32;
const NSEC_MAX = 999_999_999;

export class RecordEncoder {
  readonly #checksum: Checksum;
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  /** @returns its bytes, until the next call */
  encode(record: JournalRecord): Uint8Array {
    const length = lengthOf(record);
    this.#reserve(length);
    const view = this.#view;
    view.setUint32(4, length, true);
    view.setUint8(8, KINDS.indexOf(record.kind) + 1);
    view.setUint8(9, 0);
    view.setUint16(10, 0, true);
    view.setUint32(12, 0, true);
    this.#body(record);
    view.setUint32(0, this.#checksum(this.#bytes, 4, length - 4), true);
    return this.#bytes.subarray(0, length);
  }

  #body(record: JournalRecord): void {
    const view = this.#view;
    switch (record.kind) {
      case 'asked':
        put(view, 16, record.instance);
        return;
      case 'welcomed':
        put(view, 16, record.instance);
        put(view, 24, record.sid);
        return;
      case 'rose':
        put(view, 16, record.ino);
        put(view, 24, record.lseq);
        return;
      case 'clean':
        put(view, 16, record.ino);
        return;
      case 'wrote':
      case 'left':
        this.#file(record.file);
        record.ranges.forEach(({ start, end }, index) => {
          put(view, FILE_BYTES + index * RANGE_BYTES, start);
          put(view, FILE_BYTES + index * RANGE_BYTES + 8, end);
        });
    }
  }

  #file({ ino, isLocal, isFenced, cuts, lseq, end, mtime }: UnpublishedFile): void {
    const view = this.#view;
    view.setUint8(9, (isLocal ? LOCAL : 0) | (isFenced ? FENCED : 0));
    view.setUint32(12, mtime.nsec, true);
    put(view, 16, ino);
    put(view, 24, cuts);
    put(view, 32, lseq);
    put(view, 40, end);
    put(view, 48, mtime.sec);
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    this.#bytes = new Uint8Array(2 * length);
    this.#view = new DataView(this.#bytes.buffer);
  }
}

export interface Decoded {
  readonly record: JournalRecord;
  /** Where the next one begins. */
  readonly next: number;
}

/** @returns undefined when no whole record of this version begins there */
export function decodeRecord(
  bytes: Uint8Array,
  at: number,
  checksum: Checksum,
): Decoded | undefined {
  if (at + HEAD_BYTES > bytes.length) return undefined;
  const whole = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const length = whole.getUint32(4, true);
  if (length < HEAD_BYTES || length % ALIGN !== 0 || at + length > bytes.length) return undefined;
  if (whole.getUint32(0, true) !== checksum(bytes, at + 4, length - 4)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, length);
  const record = bodyOf(view);
  if (record === undefined || lengthOf(record) !== length) return undefined;
  return { record, next: at + length };
}

function bodyOf(view: DataView): JournalRecord | undefined {
  const kind = KINDS[view.getUint8(8) - 1];
  if (kind === undefined) return undefined;
  const isFile = kind === 'wrote' || kind === 'left';
  if (view.byteLength < (isFile ? FILE_BYTES : 32)) return undefined;
  const [first, second] = [take(view, 16), take(view, 24)];
  if (!isFile && !areNatural([first, second])) return undefined;
  switch (kind) {
    case 'asked':
      return { kind, instance: first };
    case 'welcomed':
      return { kind, instance: first, sid: second };
    case 'rose':
      return { kind, ino: asIno(first), lseq: second };
    case 'clean':
      return { kind, ino: asIno(first) };
    case 'wrote':
    case 'left': {
      const file = fileOf(view);
      const ranges = rangesOf(view);
      return file === undefined || ranges === undefined ? undefined : { kind, file, ranges };
    }
  }
}

function fileOf(view: DataView): UnpublishedFile | undefined {
  const flags = view.getUint8(9);
  const nsec = view.getUint32(12, true);
  const [ino, cuts, lseq, end] = [take(view, 16), take(view, 24), take(view, 32), take(view, 40)];
  const sec = take(view, 48);
  if (!areNatural([ino, cuts, lseq, end]) || !Number.isSafeInteger(sec)) return undefined;
  if (nsec > NSEC_MAX || flags > (LOCAL | FENCED)) return undefined;
  const isLocal = (flags & LOCAL) !== 0;
  const isFenced = (flags & FENCED) !== 0;
  return { ino: asIno(ino), isLocal, isFenced, cuts, lseq, end, mtime: { sec, nsec } };
}

function rangesOf(view: DataView): Interval[] | undefined {
  if ((view.byteLength - FILE_BYTES) % RANGE_BYTES !== 0) return undefined;
  const ranges: Interval[] = [];
  for (let at = FILE_BYTES; at < view.byteLength; at += RANGE_BYTES) {
    const [start, end] = [take(view, at), take(view, at + 8)];
    if (!areNatural([start, end]) || end <= start) return undefined;
    ranges.push({ start, end });
  }
  return ranges;
}

function lengthOf(record: JournalRecord): number {
  if (record.kind !== 'wrote' && record.kind !== 'left') return 32;
  return FILE_BYTES + record.ranges.length * RANGE_BYTES;
}

/** Signed 64 bits, little-endian. */
function put(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % HALF, true);
  view.setInt32(at + 4, Math.floor(value / HALF), true);
}

function take(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * HALF + view.getUint32(at, true);
}

function areNatural(values: readonly number[]): boolean {
  return values.every((value) => Number.isSafeInteger(value) && value >= 0);
}
