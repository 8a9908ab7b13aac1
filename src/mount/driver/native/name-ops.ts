/** LOOKUP, FORGET, READLINK and everything that changes names. */
import { PERMISSION_BITS, S_IFDIR } from '../../../common/attr.ts';
import { FsError } from '../../../common/errno.ts';
import type { AbsentResult, EntryResult } from '../driver.ts';
import type { Encode, FuseConnection, KernelRequest } from './connection.ts';

/** More forgets than a slot can hold are a lie. */
const FORGET_ONE_BYTES = 16;

const nothing: Encode<void> = () => 0;
const entry: Encode<EntryResult> = (reply, value) => reply.entry(value);

function forgetEntry(fuse: FuseConnection): (value: EntryResult) => void {
  return (value) => fuse.fs.forget(value.attr.ino, 1);
}

export function lookup(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const result = fs.lookup(request, view.nodeid, view.name(0).text);
  const found: Encode<EntryResult | AbsentResult> = (reply, value) =>
    'absent' in value ? reply.absent(value) : reply.entry(value);
  fuse.finish(request, result, found, (value) => {
    if (!('absent' in value)) fs.forget(value.attr.ino, 1);
  });
}

export function forget(fuse: FuseConnection): void {
  fuse.fs.forget(fuse.view.nodeid, fuse.view.u64(0));
}

export function batchForget(fuse: FuseConnection): void {
  const { view, fs } = fuse;
  const count = view.u32(0);
  view.need(8 + count * FORGET_ONE_BYTES);
  for (let index = 0; index < count; index++) {
    const at = 8 + index * FORGET_ONE_BYTES;
    fs.forget(view.ino(at), view.u64(at + 8));
  }
}

export function readlink(fuse: FuseConnection, request: KernelRequest): void {
  fuse.finish(request, fuse.fs.readlink(request, fuse.view.nodeid), (reply, target) =>
    reply.latin1(0, target),
  );
}

export function mknod(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const mode = view.u32(0) & ~(view.u32(8) & PERMISSION_BITS);
  const node = { parent: view.nodeid, name: view.name(16).text, mode, rdev: view.u32(4) };
  fuse.finish(request, fs.mknod(request, node), entry, forgetEntry(fuse));
}

export function mkdir(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const mode = S_IFDIR | (view.u32(0) & PERMISSION_BITS & ~view.u32(4));
  const node = { parent: view.nodeid, name: view.name(8).text, mode, rdev: 0 };
  fuse.finish(request, fs.mknod(request, node), entry, forgetEntry(fuse));
}

export function symlink(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const name = view.name(0);
  const node = { parent: view.nodeid, name: name.text, target: view.name(name.next).text };
  fuse.finish(request, fs.symlink(request, node), entry, forgetEntry(fuse));
}

export function unlink(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  fuse.finish(request, fs.unlink(request, view.nodeid, view.name(0).text), nothing);
}

export function rmdir(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  fuse.finish(request, fs.rmdir(request, view.nodeid, view.name(0).text), nothing);
}

function renameWith(
  fuse: FuseConnection,
  request: KernelRequest,
  place: { readonly flags: number; readonly namesAt: number },
): void {
  const { view, fs } = fuse;
  const oldName = view.name(place.namesAt);
  const result = fs.rename(request, {
    parent: view.nodeid,
    name: oldName.text,
    newParent: view.ino(0),
    newName: view.name(oldName.next).text,
    flags: place.flags,
  });
  fuse.finish(request, result, nothing);
}

export function rename(fuse: FuseConnection, request: KernelRequest): void {
  renameWith(fuse, request, { flags: 0, namesAt: 8 });
}

const RENAME_FLAGS_KNOWN = 3;

export function rename2(fuse: FuseConnection, request: KernelRequest): void {
  const flags = fuse.view.u32(8);
  if ((flags & ~RENAME_FLAGS_KNOWN) !== 0) {
    throw new FsError('EINVAL', `rename flags ${flags.toString(16)} are not supported`);
  }
  renameWith(fuse, request, { flags, namesAt: 16 });
}

export function link(fuse: FuseConnection, request: KernelRequest): void {
  const { view, fs } = fuse;
  const node = { ino: view.ino(0), newParent: view.nodeid, newName: view.name(8).text };
  fuse.finish(request, fs.link(request, node), entry, forgetEntry(fuse));
}
