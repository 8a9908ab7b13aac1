/** Puts records into backing files, and accounts for the space that takes. */
import { FsError, toFsError } from '../common/errno.ts';
import type { BackingFiles } from './backing-files.ts';
import type { DataContext, DataRecord } from './chunk-store.ts';
import type { FileIo } from './file-io.ts';
import type { FileState } from './file-state.ts';
import type { OwnedBytes } from './owned-bytes.ts';
import type { Space } from './space.ts';

const SECTOR_BYTES = 512;

type WriteRecord = Extract<DataRecord, { kind: 'write' }>;

export interface RecordWriterOptions {
  readonly backing: BackingFiles;
  readonly io: FileIo;
  readonly space: Space;
  readonly owned: OwnedBytes;
}

export class RecordWriter {
  readonly #options: RecordWriterOptions;

  constructor(options: RecordWriterOptions) {
    this.#options = options;
  }

  /** Charges the space a record may take. @throws FsError ENOSPC */
  reserve({ sid }: DataContext, file: FileState, record: DataRecord): void {
    if (record.kind !== 'write') return;
    const { promisedBytes } = record;
    const draw = promisedBytes === undefined ? undefined : { sid, promisedBytes };
    this.#options.space.charge(file.ino, newBytes(file, record), draw);
  }

  /** @throws FsError ENOSPC, EFBIG, EIO; the file is as long as before then */
  write(file: FileState, record: DataRecord): void {
    try {
      switch (record.kind) {
        case 'write':
          this.#writeData(file, record);
          return;
        case 'truncate':
          this.#truncate(file, record.size);
          return;
        case 'extend':
          if (record.size > file.bytes) this.#truncate(file, record.size);
          return;
        case 'zero':
          this.#zero(file, record.offset, record.length);
      }
    } catch (error) {
      throw toFsError(error, `${record.kind} ino=${file.ino}`);
    }
  }

  #writeData(file: FileState, record: WriteRecord): void {
    const { offset, data } = record;
    if (data.length === 0) return;
    const { io } = this.#options;
    const fd = this.#descriptor(file);
    const allocates = newBytes(file, record) > 0;
    try {
      const written = io.pwrite(fd, data, offset);
      if (written < data.length) {
        throw new FsError('ENOSPC', `ino=${file.ino}: the disk took ${written} bytes of a write`);
      }
    } catch (error) {
      if (io.fstat(fd).size > file.bytes) io.truncate(fd, file.bytes);
      this.#refresh(file, fd);
      throw error;
    }
    if (allocates) this.#refresh(file, fd);
  }

  #truncate(file: FileState, size: number): void {
    if (!file.isPresent && size === 0) return;
    const fd = this.#descriptor(file);
    this.#options.io.truncate(fd, size);
    this.#refresh(file, fd);
  }

  #zero(file: FileState, offset: number, length: number): void {
    const end = Math.min(offset + length, file.bytes);
    if (end <= offset) return;
    const fd = this.#descriptor(file);
    this.#options.io.punch(fd, offset, end - offset);
    this.#refresh(file, fd);
  }

  #descriptor(file: FileState): number {
    const { backing } = this.#options;
    if (file.isPresent) return backing.descriptor(file.ino);
    const fd = backing.create(file.ino);
    file.isPresent = true;
    return fd;
  }

  #refresh(file: FileState, fd: number): void {
    const { size, blocks } = this.#options.io.fstat(fd);
    const allocatedBytes = blocks * SECTOR_BYTES;
    this.#options.owned.add(file.ino, allocatedBytes - file.allocatedBytes);
    file.bytes = size;
    file.allocatedBytes = allocatedBytes;
  }
}

/** An upper bound of what the write allocates: the inside of a file with holes counts in full. */
function newBytes(file: FileState, record: WriteRecord): number {
  const { offset, data } = record;
  const beyond = Math.max(0, offset + data.length - Math.max(offset, file.bytes));
  return file.isDense ? beyond : data.length;
}
