/** Attributes, handles and data of files, and STATFS. */
import { PERMISSION_BITS, S_IFREG } from '../../../common/attr.ts';
import { FsError } from '../../../common/errno.ts';
import type { AttrChanges, CreateResult, OpenResult, StatResult } from '../driver.ts';
import {
  ENTRY_OUT_BYTES,
  FATTR,
  FOPEN,
  GETATTR_FH,
  OPEN_KILL_SUIDGID,
  RELEASE_FLOCK_UNLOCK,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
} from './abi.ts';
import type { Encode, FuseConnection, KernelRequest } from './connection.ts';

const WRITE_IN_BYTES = 40;

const nothing: Encode<void> = () => 0;
const attr: Encode<StatResult> = (reply, value) => reply.attr(value);

function openFlags(opened: OpenResult): number {
  return (opened.directIo ? FOPEN.DIRECT_IO : 0) | (opened.keepCache ? FOPEN.KEEP_CACHE : 0);
}

export function getattr(fuse: FuseConnection, request: KernelRequest): void {
  const { view } = fuse;
  view.need(16);
  const opened = (view.u32(0) & GETATTR_FH) !== 0;
  fuse.finish(request, fuse.fs.getattr(request, view.nodeid, opened), attr);
}

/** What fuse_setattr_in asks for. */
function attrChanges({ view }: FuseConnection): AttrChanges {
  const valid = view.u32(0);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const atime = { sec: view.seconds(32), nsec: view.u32(56) };
  const mtime = { sec: view.seconds(40), nsec: view.u32(60) };
  return {
    ...(has(FATTR.MODE) && { mode: view.u32(68) & PERMISSION_BITS }),
    ...(has(FATTR.UID) && { uid: view.u32(76) }),
    ...(has(FATTR.GID) && { gid: view.u32(80) }),
    ...(has(FATTR.SIZE) && { size: fileSize(view.u64(16)) }),
    ...(has(FATTR.ATIME) && { atime }),
    ...(has(FATTR.MTIME) && { mtime }),
    ...(has(FATTR.ATIME_NOW) && { atime: 'now' as const }),
    ...(has(FATTR.MTIME_NOW) && { mtime: 'now' as const }),
    killSuidGid: has(FATTR.KILL_SUIDGID),
  };
}

function fileSize(size: number): number {
  if (size > Number.MAX_SAFE_INTEGER) throw new FsError('EFBIG', `size ${size}`);
  return size;
}

export function setattr(fuse: FuseConnection, request: KernelRequest): void {
  fuse.view.need(88);
  fuse.finish(request, fuse.fs.setattr(request, fuse.view.nodeid, attrChanges(fuse)), attr);
}

export function open(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const killSuidGid = (view.u32(4) & OPEN_KILL_SUIDGID) !== 0;
  fuse.finish(
    request,
    fs.open(request, view.nodeid, { flags: view.u32(0), killSuidGid }),
    (reply, opened) => reply.open(opened.fh, openFlags(opened)),
    (opened) => releaseUnwanted(fuse, opened),
  );
}

export function create(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const permissions = view.u32(4) & PERMISSION_BITS & ~view.u32(8);
  const node = {
    parent: view.nodeid,
    name: view.name(16).text,
    mode: S_IFREG | permissions,
    rdev: 0,
    flags: view.u32(0),
  };
  const encode: Encode<CreateResult> = (reply, created) =>
    reply.entry(created.entry) + reply.open(created.fh, openFlags(created), ENTRY_OUT_BYTES);
  fuse.finish(request, fs.create(request, node), encode, (created) => {
    fs.forget(created.entry.attr.ino, 1);
    releaseUnwanted(fuse, created);
  });
}

/** The kernel dropped the request, so it will never send RELEASE. */
function releaseUnwanted(fuse: FuseConnection, opened: OpenResult): void {
  fuse.background(fuse.fs.release(opened.fh));
}

export function read(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const size = view.u32(16);
  if (size > fuse.reply.capacity) throw new FsError('EINVAL', `a read of ${size} bytes`);
  const buffer = fuse.takeBuffer();
  const result = fs.read(request, view.fh(0), view.u64(8), buffer.subarray(0, size));
  if (!(result instanceof Promise)) {
    fuse.sendPayload(request, buffer.subarray(0, result));
    fuse.giveBuffer(buffer);
    return;
  }
  fuse.wait(
    request,
    result
      .then((count) => fuse.sendPayload(request, buffer.subarray(0, count)))
      .finally(() => fuse.giveBuffer(buffer)),
  );
}

export function write(fuse: FuseConnection, request: KernelRequest, slot: number): void {
  const { view, fs } = fuse;
  const size = view.u32(16);
  const result = fs.write(request, {
    fh: view.fh(0),
    offset: view.u64(8),
    data: view.payload(WRITE_IN_BYTES, size),
    killSuidGid: (view.u32(20) & WRITE_KILL_SUIDGID) !== 0,
    mapped: (view.u32(20) & WRITE_CACHE) !== 0,
  });
  const written: Encode<void> = (reply) => {
    reply.u32(0, size);
    reply.u32(4, 0);
    return 8;
  };
  if (!(result instanceof Promise)) {
    fuse.finish(request, result, written);
    return;
  }
  fuse.session.keepSlot(slot);
  fuse.finish(
    request,
    result.finally(() => fuse.session.releaseSlot(slot)),
    written,
  );
}

export function flush(fuse: FuseConnection, request: KernelRequest): void {
  const { fs, view } = fuse;
  view.need(24);
  fuse.finish(request, fs.flush(request, view.fh(0), String(view.big(16))), nothing);
}

export function fsync(fuse: FuseConnection, request: KernelRequest): void {
  fuse.finish(request, fuse.fs.fsync(request, fuse.view.fh(0)), nothing);
}

export function release(fuse: FuseConnection, request: KernelRequest): void {
  const { fs, view } = fuse;
  view.need(24);
  const unlocks = (view.u32(12) & RELEASE_FLOCK_UNLOCK) !== 0;
  const fh = view.fh(0);
  fuse.finish(request, fs.release(fh, unlocks ? String(fh) : undefined), nothing);
}

export function statfs(fuse: FuseConnection, request: KernelRequest): void {
  fuse.finish(request, fuse.fs.statfs(request), (reply, space) => reply.statfs(space));
}
