/** Reads the journal a process has left. A record that is not whole ends it. */
import { type Checksum, decodeRecord } from './journal-record.ts';
import { JournalState } from './journal-state.ts';

export const JOURNAL_FORMAT = 1;
export const HEADER_BYTES = 48;
const MAGIC = 'dfsjrnl\n';
const STEP = 8;

/** Whose journal it is; 32 hex digits each. */
export interface JournalOwner {
  readonly bootId: string;
  readonly clusterId: string;
}

export type Replay =
  /** `state` says everything; the last record may have been cut off while it was written. */
  | { readonly kind: 'whole' | 'torn'; readonly state: JournalState }
  /** `state` is what was so once: records behind it cannot be read. */
  | { readonly kind: 'garbled'; readonly state: JournalState }
  /** Of before the last start of the machine. */
  | { readonly kind: 'other boot' }
  /** Nothing in it can be used. */
  | { readonly kind: 'foreign'; readonly why: string };

export function encodeHeader({ bootId, clusterId }: JournalOwner, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < MAGIC.length; index += 1) bytes[index] = MAGIC.charCodeAt(index);
  view.setUint32(8, JOURNAL_FORMAT, true);
  bytes.set(fromHex(bootId), 16);
  bytes.set(fromHex(clusterId), 32);
  view.setUint32(12, checksum(bytes, 16, HEADER_BYTES - 16), true);
  return bytes;
}

export function replay(bytes: Uint8Array, owner: JournalOwner, checksum: Checksum): Replay {
  const foreign = readHeader(bytes, owner, checksum);
  if (foreign !== undefined) return foreign;
  const state = new JournalState();
  let at = HEADER_BYTES;
  while (at < bytes.length) {
    const decoded = decodeRecord(bytes, at, checksum);
    if (decoded === undefined) break;
    state.apply(decoded.record);
    at = decoded.next;
  }
  if (at === bytes.length) return { kind: 'whole', state };
  if (!hasRecordFrom(bytes, at + STEP, checksum)) return { kind: 'torn', state };
  return { kind: 'garbled', state };
}

function readHeader(
  bytes: Uint8Array,
  owner: JournalOwner,
  checksum: Checksum,
): Replay | undefined {
  const isOurs = [...MAGIC].every((letter, index) => bytes[index] === letter.charCodeAt(0));
  if (!isOurs || bytes.length < HEADER_BYTES) return { kind: 'foreign', why: 'it is damaged' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const format = view.getUint32(8, true);
  if (format !== JOURNAL_FORMAT) return { kind: 'foreign', why: `it has format ${format}` };
  if (view.getUint32(12, true) !== checksum(bytes, 16, HEADER_BYTES - 16)) {
    return { kind: 'foreign', why: 'its header is damaged' };
  }
  if (toHex(bytes.subarray(32, 48)) !== owner.clusterId) {
    return { kind: 'foreign', why: 'it belongs to another cluster' };
  }
  return toHex(bytes.subarray(16, 32)) === owner.bootId ? undefined : { kind: 'other boot' };
}

/** A record behind one that cannot be read: that one was whole once. */
function hasRecordFrom(bytes: Uint8Array, from: number, checksum: Checksum): boolean {
  for (let at = from; at < bytes.length; at += STEP) {
    if (decodeRecord(bytes, at, checksum) !== undefined) return true;
  }
  return false;
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
