/**
 * The host's file calls the store makes, and nothing else: the seam under which tests lose what
 * was not synced. Bytes go inline on the event loop; syncs go to the thread pool.
 */
import {
  closeSync,
  fdatasync,
  fsync,
  ftruncateSync,
  mkdirSync,
  constants as O,
  openSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  type FileStat,
  native,
} from '../../native/index.ts';
import { systemCode } from '../common/errno.ts';

export interface DiskSpace {
  readonly bytesTotal: number;
  /** What this user may still take. */
  readonly bytesFree: number;
}

/** Every call throws the host's error (`code`, `syscall`); callers turn it into FsError. */
export interface FileIo {
  /** Undefined when there is no such file. */
  stat(path: string): FileStat | undefined;
  /** For reading and writing; missing folders are made along with the file. */
  open(path: string, options: { readonly create: boolean }): number;
  close(fd: number): void;
  /** @returns bytes read; fewer than `target.length` only at the end of the file */
  pread(fd: number, target: Uint8Array, position: number): number;
  /** @returns bytes written; fewer than `data.length` only when the disk became full */
  pwrite(fd: number, data: Uint8Array, position: number): number;
  truncate(fd: number, size: number): void;
  /** The range reads as zeros afterwards; the size stays. */
  punch(fd: number, offset: number, length: number): void;
  fstat(fd: number): FileStat;
  fdatasync(fd: number): Promise<void>;
  fsync(fd: number): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** A missing file is fine. */
  unlink(path: string): Promise<void>;
  statfs(path: string): DiskSpace;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const fdatasyncAsync = promisify(fdatasync);
const fsyncAsync = promisify(fsync);

function create(path: string): number {
  const flags = O.O_RDWR | O.O_CREAT;
  try {
    return openSync(path, flags, FILE_MODE);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
    return openSync(path, flags, FILE_MODE);
  }
}

const ZEROS = new Uint8Array(1024 * 1024);

/** For filesystems without holes. */
function writeZeros(fd: number, offset: number, length: number): void {
  for (let done = 0; done < length; ) {
    const part = Math.min(ZEROS.length, length - done);
    const written = native.pwrite(fd, ZEROS, 0, part, offset + done);
    if (written < part) {
      throw Object.assign(new Error('no space left for zeros'), { code: 'ENOSPC' });
    }
    done += part;
  }
}

export const hostFileIo: FileIo = {
  stat: (path) => statSync(path, { throwIfNoEntry: false }),
  open: (path, options) => (options.create ? create(path) : openSync(path, O.O_RDWR)),
  close: closeSync,
  pread: (fd, target, position) => native.pread(fd, target, 0, target.length, position),
  pwrite: (fd, data, position) => native.pwrite(fd, data, 0, data.length, position),
  truncate: ftruncateSync,
  punch: (fd, offset, length) => {
    try {
      native.fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length);
    } catch (error) {
      if (systemCode(error) !== 'EOPNOTSUPP') throw error;
      writeZeros(fd, offset, length);
    }
  },
  fstat: (fd) => native.fstat(fd),
  fdatasync: fdatasyncAsync,
  fsync: fsyncAsync,
  syncDirectory: async (path) => {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  unlink: async (path) => {
    try {
      await unlink(path);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  },
  statfs: (path) => {
    const { bsize, blocks, bavail } = statfsSync(path);
    return { bytesTotal: bsize * blocks, bytesFree: bsize * bavail };
  },
};
