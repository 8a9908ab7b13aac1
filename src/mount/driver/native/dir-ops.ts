/** Directory handles and listings. */
import type { Ino } from '../../../common/ids.ts';
import type { DirEntryResult } from '../driver.ts';
import { FOPEN } from './abi.ts';
import type { Encode, FuseConnection, KernelRequest } from './connection.ts';

/** The kernel keeps a listing only with both. */
const LISTING_KEPT = FOPEN.KEEP_CACHE | FOPEN.CACHE_DIR;

const nothing: Encode<void> = () => 0;

export function opendir(fuse: FuseConnection, request: KernelRequest): void {
  fuse.finish(
    request,
    fuse.fs.opendir(request, fuse.view.nodeid),
    (reply, { fh, keepCache }) => reply.open(fh, keepCache ? LISTING_KEPT : 0),
    ({ fh }) => fuse.fs.releasedir(fh),
  );
}

function list(fuse: FuseConnection, request: KernelRequest, plus: boolean): void {
  const { view, fs } = fuse;
  const cookie = view.u64(8);
  const limit = Math.min(view.u32(16), fuse.reply.capacity);
  const remembered: Ino[] = [];
  const encode: Encode<readonly DirEntryResult[]> = (reply, entries) => {
    let offset = 0;
    for (const entry of entries) {
      const bytes = reply.dirent(entry, { offset, limit, plus });
      if (bytes === 0) break;
      offset += bytes;
      if (!plus || entry.stat === undefined) continue;
      fs.remember(entry.stat.attr);
      remembered.push(entry.ino);
    }
    return offset;
  };
  const result = fs.readdir(request, view.fh(0), { cookie, withAttrs: plus });
  fuse.finish(request, result, encode, () => {
    for (const ino of remembered) fs.forget(ino, 1);
  });
}

export function readdir(fuse: FuseConnection, request: KernelRequest): void {
  list(fuse, request, false);
}

export function readdirplus(fuse: FuseConnection, request: KernelRequest): void {
  list(fuse, request, true);
}

export function releasedir(fuse: FuseConnection, request: KernelRequest): void {
  fuse.fs.releasedir(fuse.view.fh(0));
  fuse.finish(request, undefined, nothing);
}

/** Every change of names is stable before it is answered. */
export function fsyncdir(fuse: FuseConnection, request: KernelRequest): void {
  fuse.finish(request, undefined, nothing);
}
