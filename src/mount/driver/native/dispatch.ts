/**
 * From opcode to handler. An operation that is not built answers EOPNOTSUPP; ENOSYS only where
 * its effect for the rest of the mount is meant: the kernel then does the work itself or stops
 * asking.
 */
import { ERRNO } from '../../../common/errno.ts';
import { OPCODE } from './abi.ts';
import type { FuseConnection, KernelRequest } from './connection.ts';
import * as dirs from './dir-ops.ts';
import * as files from './file-ops.ts';
import * as locks from './lock-ops.ts';
import * as names from './name-ops.ts';

type Handler = (fuse: FuseConnection, request: KernelRequest, slot: number) => void;

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [OPCODE.LOOKUP, names.lookup],
  [OPCODE.FORGET, names.forget],
  [OPCODE.BATCH_FORGET, names.batchForget],
  [OPCODE.READLINK, names.readlink],
  [OPCODE.SYMLINK, names.symlink],
  [OPCODE.MKNOD, names.mknod],
  [OPCODE.MKDIR, names.mkdir],
  [OPCODE.UNLINK, names.unlink],
  [OPCODE.RMDIR, names.rmdir],
  [OPCODE.RENAME, names.rename],
  [OPCODE.RENAME2, names.rename2],
  [OPCODE.LINK, names.link],
  [OPCODE.GETATTR, files.getattr],
  [OPCODE.SETATTR, files.setattr],
  [OPCODE.OPEN, files.open],
  [OPCODE.CREATE, files.create],
  [OPCODE.READ, files.read],
  [OPCODE.WRITE, files.write],
  [OPCODE.FLUSH, files.flush],
  [OPCODE.FSYNC, files.fsync],
  [OPCODE.RELEASE, files.release],
  [OPCODE.STATFS, files.statfs],
  [OPCODE.OPENDIR, dirs.opendir],
  [OPCODE.READDIR, dirs.readdir],
  [OPCODE.READDIRPLUS, dirs.readdirplus],
  [OPCODE.RELEASEDIR, dirs.releasedir],
  [OPCODE.FSYNCDIR, dirs.fsyncdir],
  [OPCODE.GETLK, locks.getlk],
  [OPCODE.SETLK, locks.setlk],
  [OPCODE.SETLKW, locks.setlkw],
  [OPCODE.INTERRUPT, interrupt],
]);

/** FORGET, BATCH_FORGET, INTERRUPT and NOTIFY_REPLY are never answered. */
const SILENT: ReadonlySet<number> = new Set<number>([
  OPCODE.FORGET,
  OPCODE.BATCH_FORGET,
  OPCODE.INTERRUPT,
  OPCODE.NOTIFY_REPLY,
]);

/**
 * Meant for the whole mount: the kernel copies by reading and writing, finds data everywhere,
 * calls every file ready, uses GETATTR for statx, and refuses O_TMPFILE and ioctl.
 */
const NOT_FOR_THIS_MOUNT: ReadonlySet<number> = new Set<number>([
  OPCODE.COPY_FILE_RANGE,
  OPCODE.COPY_FILE_RANGE_64,
  OPCODE.LSEEK,
  OPCODE.POLL,
  OPCODE.STATX,
  OPCODE.TMPFILE,
  OPCODE.IOCTL,
  OPCODE.BMAP,
]);

function interrupt(fuse: FuseConnection): void {
  fuse.interrupt(fuse.view.u64(0));
}

/** Handles the request in `slot`. Never throws for anything a kernel can send. */
export function dispatch(fuse: FuseConnection, slot: number, length: number): void {
  if (!fuse.view.select(slot, length)) {
    fuse.garbled(length);
    return;
  }
  const request = fuse.begin();
  const handler = HANDLERS.get(request.opcode);
  fuse.count(request);
  try {
    if (handler !== undefined) handler(fuse, request, slot);
    else if (!SILENT.has(request.opcode)) {
      const permanent = NOT_FOR_THIS_MOUNT.has(request.opcode);
      fuse.error(request, permanent ? ERRNO.ENOSYS : ERRNO.EOPNOTSUPP);
    }
  } catch (error) {
    if (SILENT.has(request.opcode)) fuse.ignored(request, error);
    else fuse.fail(request, error);
  }
}
