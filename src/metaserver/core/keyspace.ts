/**
 * Keys of the metaserver's database: latin1 strings (one char a byte) whose order is the order of
 * the bytes on disk. A key is one letter and then fixed-width big-endian integers, or a name at
 * the end. docs/FORMAT.md has the table; a letter never changes its meaning.
 */
import type { GroupId, Ino, NodeId, SessionId } from '../../common/ids.ts';

const HIGH_WORD = 2 ** 32;

/** All keys with gte <= key < lt. */
export interface KeyRange {
  readonly gte: string;
  readonly lt: string;
}

function words(high: number, low: number): string {
  return String.fromCharCode(
    (high >>> 24) & 255,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    (low >>> 24) & 255,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}

/** @param value safe integer >= 0 */
export function encodeU64(value: number): string {
  return words(Math.floor(value / HIGH_WORD), value % HIGH_WORD);
}

export function encodeU64Big(value: bigint): string {
  return words(Number(value >> 32n), Number(value & 0xffff_ffffn));
}

/** The integer of the 8 chars at `at`; exact below 2^53. */
export function decodeU64(key: string, at: number): number {
  let value = 0;
  for (let index = at; index < at + 8; index += 1) value = value * 256 + key.charCodeAt(index);
  return value;
}

export function decodeU64Big(key: string, at: number): bigint {
  let value = 0n;
  for (let index = at; index < at + 8; index += 1) {
    value = (value << 8n) | BigInt(key.charCodeAt(index));
  }
  return value;
}

function hexBytes(hex: string): string {
  let bytes = '';
  for (let at = 0; at < hex.length; at += 2) {
    bytes += String.fromCharCode(Number.parseInt(hex.slice(at, at + 2), 16));
  }
  return bytes;
}

export const CLUSTER_KEY = 'mcluster';
export const NEXT_INO_KEY = 'mino';
export const NEXT_SID_KEY = 'msid';
export const INODES_KEY = 'minodes';
export const RECLAIM_COUNT_KEY = 'mreclaim';
/** The namespace is one shard so far. */
export const SHARD_KEY = `f${encodeU64(0)}`;

export const inodeKey = (ino: Ino): string => `i${encodeU64(ino)}`;
export const dentryKey = (dir: Ino, name: string): string => `d${encodeU64(dir)}${name}`;
export const slotKey = (dir: Ino, seq: number): string => `e${encodeU64(dir)}${encodeU64(seq)}`;
export const symlinkKey = (ino: Ino): string => `s${encodeU64(ino)}`;
export const sessionKey = (sid: SessionId): string => `n${encodeU64(sid)}`;
export const openerKey = (ino: Ino, sid: SessionId): string =>
  `o${encodeU64(ino)}${encodeU64(sid)}`;
export const reclaimKey = (ino: Ino): string => `t${encodeU64(ino)}`;
export const groupKey = (rg: GroupId): string => `g${encodeU64(rg)}`;
export const peerKey = (nodeId: NodeId): string => `p${hexBytes(nodeId)}`;

/** `unique` 0 holds the watermark of the connection instead of a reply. */
export function replyKey(sid: SessionId, connection: bigint, unique: number): string {
  return `r${encodeU64(sid)}${encodeU64Big(connection)}${encodeU64(unique)}`;
}

/** The slots of a directory behind `seq`, in order. */
export function slotsAfter(dir: Ino, seq: number): KeyRange {
  return { gte: `e${encodeU64(dir)}${encodeU64(seq + 1)}`, lt: `e${encodeU64(dir + 1)}` };
}

export function repliesOf(sid: SessionId): KeyRange {
  return { gte: `r${encodeU64(sid)}`, lt: `r${encodeU64(sid + 1)}` };
}

/** Every key that starts with this letter. */
export function family(letter: string): KeyRange {
  return { gte: letter, lt: String.fromCharCode(letter.charCodeAt(0) + 1) };
}
