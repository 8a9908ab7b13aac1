import { assert } from './assert.ts';

/** Numbers and ids that must not be mixed up. All numbers are integers in 0 .. 2^53-1. */
declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** File identity: 1 is the root, 2-1023 are reserved, never reused. */
export type Ino = Branded<number, 'Ino'>;
/** One open; ends at release. */
export type Fh = Branded<number, 'Fh'>;
/** A session at the metaserver, and the epoch that fences it. */
export type SessionId = Branded<number, 'SessionId'>;
export type Epoch = Branded<number, 'Epoch'>;
/** A replica group. */
export type GroupId = Branded<number, 'GroupId'>;
/** 128 random bits, 32 lower-case hex digits. */
export type NodeId = Branded<string, 'NodeId'>;
export type ClusterId = Branded<string, 'ClusterId'>;

export const ROOT_INO = 1 as Ino;
/** The first ino handed out; those below are reserved. */
export const FIRST_INO = 1024 as Ino;
/** Inos are handed out in blocks of this size. */
export const INO_BLOCK = 2 ** 16;
export const FIRST_GROUP = 1 as GroupId;

export const CHUNK_BYTES = 4 * 1024 * 1024;
/** Versions and checksums are kept per block. */
export const BLOCK_BYTES = 64 * 1024;
export const BLOCKS_PER_CHUNK = CHUNK_BYTES / BLOCK_BYTES;

const HEX_ID = /^[0-9a-f]{32}$/;

export function isHexId(text: unknown): text is string {
  return typeof text === 'string' && HEX_ID.test(text);
}

export function hexId(text: string): string {
  assert(isHexId(text), `not a 128-bit hex id: ${text}`);
  return text;
}

/** A wire integer as a JS number; throws on values of 2^53 and above. */
export function safeInteger(value: bigint | number): number {
  const number = Number(value);
  // The sentence costs more than the check: it is written only when needed.
  if (!Number.isSafeInteger(number)) assert(false, `integer out of range: ${value}`);
  return number;
}

/** Brand constructors for decoders: the checks are theirs. */
export const asIno = (value: bigint | number): Ino => safeInteger(value) as Ino;
export const asFh = (value: bigint | number): Fh => safeInteger(value) as Fh;
export const asSessionId = (value: bigint | number): SessionId => safeInteger(value) as SessionId;
export const asEpoch = (value: bigint | number): Epoch => safeInteger(value) as Epoch;
export const asGroupId = (value: bigint | number): GroupId => safeInteger(value) as GroupId;
export const asNodeId = (text: string): NodeId => hexId(text) as NodeId;
export const asClusterId = (text: string): ClusterId => hexId(text) as ClusterId;
