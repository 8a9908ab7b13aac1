/** Stored records to and from bytes; the generated store types stop here. */
import {
  CounterRecord,
  DentryRecord,
  DirSlotRecord,
  GroupRecord,
  InodeRecord,
  PeerRecord,
  ReclaimRecord,
  ReplyRecord,
  SessionRecord,
  ShardRecord,
} from '../../gen/store.ts';
import { FsError } from '../common/errno.ts';
import { asEpoch, asGroupId, asIno, safeInteger } from '../common/ids.ts';
import { nameFromBytes, nameToBytes } from '../common/name.ts';
import { nodeIdFromBytes, nodeIdToBytes, timeFromWire, timeToWire } from '../common/rpc/codec.ts';
import type { Codec, Codecs, Inode, SessionKind } from './core/records.ts';

/** Gives damaged bytes one errno; what exactly a decoder stumbled over is in the cause. */
function codec<T>(
  what: string,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Codec<T> {
  return {
    encode,
    decode(bytes) {
      try {
        return decode(bytes);
      } catch (cause) {
        throw new FsError('EIO', `a stored ${what} is damaged`, { cause });
      }
    },
  };
}

function encodeInode(inode: Inode): Uint8Array {
  return InodeRecord.encode({
    mode: inode.mode,
    nlink: inode.nlink,
    uid: inode.uid,
    gid: inode.gid,
    rdev: inode.rdev,
    size: BigInt(inode.size),
    atime: timeToWire(inode.atime),
    mtime: timeToWire(inode.mtime),
    ctime: timeToWire(inode.ctime),
    btime: timeToWire(inode.btime),
    av: BigInt(inode.av),
    layout: { rg: BigInt(inode.rg) },
    parent: BigInt(inode.parent),
    entries: BigInt(inode.entries),
    dirv: BigInt(inode.dirv),
    nextSeq: BigInt(inode.nextSeq),
    openers: inode.openers,
    dv: BigInt(inode.dv),
    cuts: BigInt(inode.cuts),
  }).finish();
}

function decodeInode(bytes: Uint8Array): Inode {
  const record = InodeRecord.decode(bytes);
  return {
    mode: record.mode,
    nlink: record.nlink,
    uid: record.uid,
    gid: record.gid,
    rdev: record.rdev,
    size: safeInteger(record.size),
    atime: timeFromWire(record.atime),
    mtime: timeFromWire(record.mtime),
    ctime: timeFromWire(record.ctime),
    btime: timeFromWire(record.btime),
    av: safeInteger(record.av),
    rg: asGroupId(record.layout?.rg ?? 0n),
    parent: asIno(record.parent),
    entries: safeInteger(record.entries),
    dirv: safeInteger(record.dirv),
    nextSeq: safeInteger(record.nextSeq),
    openers: record.openers,
    dv: safeInteger(record.dv),
    cuts: safeInteger(record.cuts),
  };
}

const KINDS: readonly (SessionKind | undefined)[] = [undefined, 'mount', 'peer'];

function sessionKind(kind: number): SessionKind {
  const known = KINDS[kind];
  if (known === undefined) throw new FsError('EIO', `unknown session kind ${kind}`);
  return known;
}

export const shardCodec: Codec<number> = codec(
  'shard epoch',
  (epoch) => ShardRecord.encode({ shardEpoch: BigInt(epoch) }).finish(),
  (bytes) => safeInteger(ShardRecord.decode(bytes).shardEpoch),
);

export const storeCodecs: Codecs = {
  inode: codec('inode', encodeInode, decodeInode),
  entry: codec(
    'dentry',
    ({ ino, type, seq }) =>
      DentryRecord.encode({ ino: BigInt(ino), type, seq: BigInt(seq) }).finish(),
    (bytes) => {
      const { ino, type, seq } = DentryRecord.decode(bytes);
      return { ino: asIno(ino), type, seq: safeInteger(seq) };
    },
  ),
  slot: codec(
    'directory slot',
    ({ name, ino, type }) =>
      DirSlotRecord.encode({ name: nameToBytes(name), ino: BigInt(ino), type }).finish(),
    (bytes) => {
      const { name, ino, type } = DirSlotRecord.decode(bytes);
      return { name: nameFromBytes(name), ino: asIno(ino), type };
    },
  ),
  text: codec('symlink target', nameToBytes, nameFromBytes),
  session: codec(
    'session',
    ({ sepoch, nodeId, kind, instance }) =>
      SessionRecord.encode({
        sepoch: BigInt(sepoch),
        nodeId: nodeIdToBytes(nodeId),
        kind: KINDS.indexOf(kind),
        instance: instance ?? 0n,
      }).finish(),
    (bytes) => {
      const { sepoch, nodeId, kind, instance } = SessionRecord.decode(bytes);
      return {
        sepoch: asEpoch(sepoch),
        nodeId: nodeIdFromBytes(nodeId),
        kind: sessionKind(kind),
        instance: instance === 0n ? undefined : instance,
      };
    },
  ),
  group: codec(
    'replica group',
    ({ epoch, primary, members }) =>
      GroupRecord.encode({
        epoch: BigInt(epoch),
        primary: primary === undefined ? new Uint8Array(0) : nodeIdToBytes(primary),
        members: members.map(nodeIdToBytes),
      }).finish(),
    (bytes) => {
      const { epoch, primary, members } = GroupRecord.decode(bytes);
      return {
        epoch: asEpoch(epoch),
        primary: primary.length === 0 ? undefined : nodeIdFromBytes(primary),
        members: members.map(nodeIdFromBytes),
      };
    },
  ),
  peer: codec(
    'peer',
    (peer) => PeerRecord.encode(peer).finish(),
    (bytes) => PeerRecord.decode(bytes),
  ),
  reclaim: codec(
    'reclaim record',
    (rg) => ReclaimRecord.encode({ rg: BigInt(rg) }).finish(),
    (bytes) => asGroupId(ReclaimRecord.decode(bytes).rg),
  ),
  reply: codec(
    'reply',
    (reply) => ReplyRecord.encode({ reply }).finish(),
    (bytes) => ReplyRecord.decode(bytes).reply,
  ),
  counter: codec(
    'counter',
    (next) => CounterRecord.encode({ next: BigInt(next) }).finish(),
    (bytes) => safeInteger(CounterRecord.decode(bytes).next),
  ),
};
