import type * as wire from '../../../gen/common.ts';
import type { Attr, Timespec } from '../attr.ts';
import { asGroupId, asIno, asNodeId, type NodeId, safeInteger } from '../ids.ts';

/** Domain values to and from generated messages; generated types stop at the services. */
export function nodeIdToBytes(nodeId: NodeId): Buffer {
  return Buffer.from(nodeId, 'hex');
}

/** Throws on anything but 16 bytes. */
export function nodeIdFromBytes(bytes: Uint8Array): NodeId {
  return asNodeId(Buffer.from(bytes).toString('hex'));
}

export function timeToWire(time: Timespec): wire.Timespec {
  return { sec: BigInt(time.sec), nsec: time.nsec };
}

export function timeFromWire(time: wire.Timespec | undefined): Timespec {
  return time === undefined ? { sec: 0, nsec: 0 } : { sec: safeInteger(time.sec), nsec: time.nsec };
}

export function attrToWire(attr: Attr): wire.Attr {
  return {
    ino: BigInt(attr.ino),
    mode: attr.mode,
    nlink: attr.nlink,
    uid: attr.uid,
    gid: attr.gid,
    rdev: attr.rdev,
    size: BigInt(attr.size),
    atime: timeToWire(attr.atime),
    mtime: timeToWire(attr.mtime),
    ctime: timeToWire(attr.ctime),
    av: BigInt(attr.av),
    dirv: BigInt(attr.dirv),
    dv: BigInt(attr.dv),
    cuts: BigInt(attr.cuts),
    layout: { rg: BigInt(attr.rg) },
  };
}

export function attrFromWire(attr: wire.Attr): Attr {
  return {
    ino: asIno(attr.ino),
    mode: attr.mode,
    nlink: attr.nlink,
    uid: attr.uid,
    gid: attr.gid,
    rdev: attr.rdev,
    size: safeInteger(attr.size),
    atime: timeFromWire(attr.atime),
    mtime: timeFromWire(attr.mtime),
    ctime: timeFromWire(attr.ctime),
    av: safeInteger(attr.av),
    dirv: safeInteger(attr.dirv),
    dv: safeInteger(attr.dv),
    cuts: safeInteger(attr.cuts),
    rg: asGroupId(attr.layout?.rg ?? 0n),
  };
}
