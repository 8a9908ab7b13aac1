/**
 * Checked translation of session messages: what a client sends is doubted field by field, and
 * every doubt is an FsError, never a failed assertion.
 */
import type { Timespec as WireTimespec } from '../../gen/common.ts';
import * as wire from '../../gen/meta.ts';
import type { Attr, Timespec } from '../common/attr.ts';
import { FsError } from '../common/errno.ts';
import {
  asEpoch,
  asIno,
  asSessionId,
  type Epoch,
  type GroupId,
  type Ino,
  type NodeId,
} from '../common/ids.ts';
import { nameFromBytes, nameToBytes } from '../common/name.ts';
import { attrToWire, nodeIdFromBytes, nodeIdToBytes } from '../common/rpc/codec.ts';
import type { FlushAttrRequest } from './core/flush-attr.ts';
import type { Unpublished } from './core/glimpses.ts';
import type { LinkRequest } from './core/link.ts';
import type { MakeRequest, MakeResult } from './core/make.ts';
import type { DirEntry } from './core/readdir.ts';
import type { Group } from './core/records.ts';
import type { RemoveRequest, RemoveResult } from './core/remove.ts';
import type { RenameRequest, RenameResult } from './core/rename.ts';
import type { SetAttrRequest } from './core/setattr.ts';
import type { Fence } from './evictions.ts';
import type { TakenGrant } from './lease-ops.ts';
import type { MutationId } from './reply-cache.ts';

const INTEGER_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const INOS_MAX = 16_384;
const NSEC_MAX = 999_999_999;
const PEERS_MAX = 1024;
const MESSAGE_CHARS_MAX = 500;

export type Result = NonNullable<wire.Reply['result']>;

export function integer(value: bigint, what: string): number {
  if (value > INTEGER_MAX || value < -INTEGER_MAX) {
    throw new FsError('EINVAL', `${what} is out of range: ${value}`);
  }
  return Number(value);
}

export function inoOf(value: bigint): Ino {
  const ino = integer(value, 'an ino');
  if (ino === 0) throw new FsError('EINVAL', 'an ino is missing');
  return asIno(ino);
}

export function inosOf(values: readonly bigint[]): Ino[] {
  if (values.length > INOS_MAX) throw new FsError('EINVAL', `over ${INOS_MAX} inos in one request`);
  return values.map(inoOf);
}

function sizeOf(value: bigint): number {
  if (value > INTEGER_MAX) throw new FsError('EFBIG', `a size is out of range: ${value}`);
  return Number(value);
}

/** 0, which no group ever has, for a missing one. */
function epochOf(value: bigint): Epoch {
  return asEpoch(integer(value, 'a group epoch'));
}

function timeOf(time: WireTimespec): Timespec {
  if (time.nsec > NSEC_MAX) throw new FsError('EINVAL', `nanoseconds out of range: ${time.nsec}`);
  return { sec: integer(time.sec, 'a time'), nsec: time.nsec };
}

function timeChange(time: WireTimespec | undefined, now: boolean): Timespec | 'now' | undefined {
  if (now) return 'now';
  return time === undefined ? undefined : timeOf(time);
}

function callerOf(caller: wire.Caller | undefined): wire.Caller {
  if (caller === undefined) throw new FsError('EPROTO', 'the caller is missing');
  return caller;
}

export function mutationIdOf(id: wire.RequestId): MutationId {
  const unique = integer(id.unique, 'a request id');
  if (unique === 0) throw new FsError('EINVAL', 'a request id is 0');
  return { connection: id.connection, unique, acked: integer(id.acked, 'a watermark') };
}

export function setAttrOf(value: wire.SetAttrRequest): SetAttrRequest {
  return {
    ino: inoOf(value.ino),
    mode: value.mode,
    uid: value.uid,
    gid: value.gid,
    size: value.size === undefined ? undefined : sizeOf(value.size),
    atime: timeChange(value.atime, value.atimeNow),
    mtime: timeChange(value.mtime, value.mtimeNow),
    killSuidgid: value.killSuidgid,
    cut: value.cut,
    cuts: integer(value.cuts, 'a number of cuts'),
  };
}

export function flushAttrOf(value: wire.FlushAttrRequest): FlushAttrRequest {
  return {
    ino: inoOf(value.ino),
    size: sizeOf(value.size),
    mtime: value.mtime === undefined ? undefined : timeOf(value.mtime),
    cuts: integer(value.cuts, 'a number of cuts'),
    rgEpoch: epochOf(value.rgEpoch),
  };
}

export function glimpsedOf({ id, ino, lseq, unpublished }: wire.GlimpsedRequest): {
  readonly lease: { readonly id: number; readonly ino: Ino; readonly lseq: number };
  readonly unpublished: Unpublished | undefined;
} {
  const lease = {
    id: integer(id, 'the id of a glimpse'),
    ino: inoOf(ino),
    lseq: integer(lseq, 'a lease number'),
  };
  if (unpublished?.mtime === undefined) return { lease, unpublished: undefined };
  return {
    lease,
    unpublished: { end: sizeOf(unpublished.end), mtime: timeOf(unpublished.mtime) },
  };
}

export function makeOf(value: wire.MakeRequest): MakeRequest {
  const { uid, gid } = callerOf(value.caller);
  return {
    parent: inoOf(value.parent),
    name: nameFromBytes(value.name),
    mode: value.mode,
    rdev: value.rdev,
    target: nameFromBytes(value.target),
    uid,
    gid,
    openExisting: value.openExisting,
  };
}

export function removeOf(value: wire.RemoveRequest): RemoveRequest {
  return {
    parent: inoOf(value.parent),
    name: nameFromBytes(value.name),
    directory: value.directory,
    knownIno: integer(value.knownIno, 'an ino'),
    knownOpen: value.knownOpen,
  };
}

export function renameOf(value: wire.RenameRequest): RenameRequest {
  return {
    parent: inoOf(value.parent),
    name: nameFromBytes(value.name),
    newParent: inoOf(value.newParent),
    newName: nameFromBytes(value.newName),
    flags: value.flags,
    knownIno: integer(value.knownIno, 'an ino'),
    knownOpen: value.knownOpen,
  };
}

export function linkOf(value: wire.LinkRequest): LinkRequest {
  return {
    ino: inoOf(value.ino),
    newParent: inoOf(value.newParent),
    newName: nameFromBytes(value.newName),
  };
}

export interface PeerReport {
  readonly bytesTotal: bigint;
  readonly bytesFree: bigint;
  readonly bytesOwned: bigint;
  readonly bytesCached: bigint;
  /** Peers that do not answer this one. */
  readonly unreachable: readonly NodeId[];
}

export function reportOf(value: wire.PeerReportRequest): PeerReport {
  const { unreachable, ...bytes } = value;
  if (unreachable.length > PEERS_MAX) {
    throw new FsError('EINVAL', `over ${PEERS_MAX} peers in one report`);
  }
  return { ...bytes, unreachable: unreachable.map(nodeIdOf) };
}

function nodeIdOf(bytes: Uint8Array): NodeId {
  if (bytes.length !== 16) throw new FsError('EINVAL', `a node id has ${bytes.length} bytes`);
  return nodeIdFromBytes(bytes);
}

export function fenceOf({ sid, sepoch }: wire.FencedRequest): Fence {
  const session = asSessionId(integer(sid, 'a session'));
  return { sid: session, sepoch: asEpoch(integer(sepoch, 'a session epoch')) };
}

export interface DialBackDone {
  readonly id: number;
  readonly reached: boolean;
  /** Why not. */
  readonly message: string;
}

export function dialBackDoneOf(value: wire.DialBackDoneRequest): DialBackDone {
  const message = value.message.slice(0, MESSAGE_CHARS_MAX);
  return { id: integer(value.id, 'an id'), reached: value.reached, message };
}

export function groupToWire([rg, group]: readonly [GroupId, Group]): wire.ReplicaGroup {
  return {
    rg: BigInt(rg),
    epoch: BigInt(group.epoch),
    primary: group.primary === undefined ? new Uint8Array(0) : nodeIdToBytes(group.primary),
    members: group.members.map(nodeIdToBytes),
  };
}

export function attrResult(attr: Attr): Result {
  return { $case: 'attr', value: { attr: attrToWire(attr) } };
}

export function readlinkResult(target: string): Result {
  return { $case: 'readlink', value: { target: nameToBytes(target) } };
}

export function makeResult({ attr, parent, existed }: MakeResult): Result {
  return {
    $case: 'make',
    value: { attr: attrToWire(attr), parent: attrToWire(parent), existed },
  };
}

export function removeResult({ attr, parent, kept }: RemoveResult): Result {
  return { $case: 'remove', value: { attr: attrToWire(attr), parent: attrToWire(parent), kept } };
}

export function renameResult(result: RenameResult): Result {
  return {
    $case: 'rename',
    value: {
      attr: attrToWire(result.attr),
      parent: attrToWire(result.parent),
      newParent: attrToWire(result.newParent),
      other: result.other === undefined ? undefined : attrToWire(result.other),
      kept: result.kept,
    },
  };
}

export function linkResult(result: { readonly attr: Attr; readonly parent: Attr }): Result {
  const { attr, parent } = result;
  return { $case: 'link', value: { attr: attrToWire(attr), parent: attrToWire(parent) } };
}

export interface DirPage {
  readonly entries: readonly DirEntry[];
  readonly end: boolean;
  readonly dirv: number;
  readonly parent: Ino;
}

export function readdirResult(page: DirPage): Result {
  const entries = page.entries.map(({ seq, name, ino, type, attr }) => ({
    seq: BigInt(seq),
    name: nameToBytes(name),
    ino: BigInt(ino),
    type,
    attr: attr === undefined ? undefined : attrToWire(attr),
  }));
  const { end, dirv, parent } = page;
  const value = { entries, end, dirv: BigInt(dirv), parent: BigInt(parent) };
  return { $case: 'readdir', value };
}

export const EMPTY_RESULT: Result = { $case: 'empty', value: {} };

/** The reply without its id, as it is stored and sent. */
export function encodeResult(result: Result): Uint8Array {
  return wire.Reply.encode({ id: 0n, errno: 0, message: '', grants: [], result }).finish();
}

/** More of a reply that is encoded already: protobuf messages join by concatenation. */
export function encodeGrants(taken: readonly TakenGrant[]): Uint8Array {
  const grants = taken.map(({ attr, ino, kind, lseq }) => ({
    ino: BigInt(ino),
    exclusive: kind === 'exclusive',
    lseq: BigInt(lseq),
    attr: attr === undefined ? undefined : attrToWire(attr),
  }));
  return wire.Reply.encode({ id: 0n, errno: 0, message: '', grants, result: undefined }).finish();
}

/** The receiver makes an FsError again, which puts the code before the sentence. */
export function encodeError(error: FsError): Uint8Array {
  const { errno } = error;
  const message = error.message.slice(`${error.code}: `.length);
  return wire.Reply.encode({ id: 0n, errno, message, grants: [], result: undefined }).finish();
}

const REPLY_TAG = (3 << 3) | 2;

/** A ServerFrame around an encoded reply; protobuf messages join by concatenation. */
export function replyFrame(id: bigint, reply: Uint8Array): Buffer {
  const head = wire.Reply.encode({
    id,
    errno: 0,
    message: '',
    grants: [],
    result: undefined,
  }).finish();
  let length = head.length + reply.length;
  const prefix = [REPLY_TAG];
  for (; length > 127; length >>>= 7) prefix.push((length & 127) | 128);
  prefix.push(length);
  return Buffer.concat([Uint8Array.from(prefix), head, reply]);
}

export function encodeFrame(body: NonNullable<wire.ServerFrame['body']>): Buffer {
  return Buffer.from(wire.ServerFrame.encode({ body }).finish());
}
