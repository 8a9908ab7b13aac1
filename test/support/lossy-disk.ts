import type { Ino } from '../../src/common/ids.ts';
import type { ChunkIndex, OpenedChunks } from '../../src/peer/chunk-index.ts';
import type { BlockTable } from '../../src/peer/core/chunk-state.ts';
import type { FileIo } from '../../src/peer/file-io.ts';
import { hostFileIo } from '../../src/peer/file-io.ts';

interface Undo {
  readonly path: string;
  restore(fd: number): void;
}

/**
 * The host's files with a power switch: `cutPower` undoes every change of bytes that no sync
 * covered, newest first, all of them or each by the given choice.
 */
export class LossyFileIo implements FileIo {
  readonly #paths = new Map<number, string>();
  #undo: Undo[] = [];
  /** What was done, in order: `pwrite`, `truncate`, `punch`, `sync`. */
  readonly log: string[];
  /** Set: syncs report success and cover nothing. */
  syncsNothing = false;
  /** Set: every sync fails. */
  syncFails = false;

  constructor(log: string[] = []) {
    this.log = log;
  }

  stat: FileIo['stat'] = hostFileIo.stat;
  statfs: FileIo['statfs'] = hostFileIo.statfs;
  unlink: FileIo['unlink'] = hostFileIo.unlink;
  pread: FileIo['pread'] = hostFileIo.pread;
  fstat: FileIo['fstat'] = hostFileIo.fstat;

  open: FileIo['open'] = (path, options) => {
    const fd = hostFileIo.open(path, options);
    this.#paths.set(fd, path);
    return fd;
  };

  close: FileIo['close'] = (fd) => {
    this.#paths.delete(fd);
    hostFileIo.close(fd);
  };

  pwrite: FileIo['pwrite'] = (fd, data, position) => {
    this.log.push('pwrite');
    this.#remember(fd, position, data.length);
    return hostFileIo.pwrite(fd, data, position);
  };

  truncate: FileIo['truncate'] = (fd, size) => {
    this.log.push('truncate');
    const before = hostFileIo.fstat(fd).size;
    this.#remember(fd, size, Math.max(0, before - size));
    hostFileIo.truncate(fd, size);
  };

  punch: FileIo['punch'] = (fd, offset, length) => {
    this.log.push('punch');
    this.#remember(fd, offset, length);
    hostFileIo.punch(fd, offset, length);
  };

  fdatasync: FileIo['fdatasync'] = (fd) => this.#sync(fd);
  fsync: FileIo['fsync'] = (fd) => this.#sync(fd);

  syncDirectory: FileIo['syncDirectory'] = async (path) => {
    this.log.push(`syncDirectory ${path}`);
    await hostFileIo.syncDirectory(path);
  };

  /** @param loses which of the unsynced changes are lost; all by default */
  cutPower(loses: () => boolean = () => true): number {
    let lost = 0;
    for (const undo of this.#undo.reverse()) {
      if (!loses()) continue;
      lost += 1;
      const fd = hostFileIo.open(undo.path, { create: false });
      undo.restore(fd);
      hostFileIo.close(fd);
    }
    this.#undo = [];
    return lost;
  }

  #remember(fd: number, offset: number, length: number): void {
    const path = this.#paths.get(fd);
    if (path === undefined) throw new Error('a descriptor nobody opened');
    const { size } = hostFileIo.fstat(fd);
    const old = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
    hostFileIo.pread(fd, old, offset);
    this.#undo.push({
      path,
      restore: (target) => {
        hostFileIo.truncate(target, size);
        if (old.length > 0) hostFileIo.pwrite(target, old, offset);
      },
    });
  }

  async #sync(fd: number): Promise<void> {
    this.log.push('sync');
    if (this.syncFails) {
      throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    }
    const path = this.#paths.get(fd);
    const covered = new Set(this.#undo.filter((undo) => undo.path === path));
    await hostFileIo.fdatasync(fd);
    if (!this.syncsNothing) this.#undo = this.#undo.filter((undo) => !covered.has(undo));
  }
}

/** An index in memory of which a power cut loses what need not be durable. */
export class LossyIndex implements ChunkIndex {
  readonly #durable = new Map<string, BlockTable>();
  readonly #all = new Map<string, BlockTable>();
  readonly #log: string[];

  constructor(log: string[] = []) {
    this.#log = log;
  }

  get sealedCount(): number {
    return this.#all.size;
  }

  getSealed(ino: Ino, chunk: number): BlockTable | undefined {
    const table = this.#all.get(`${ino}/${chunk}`);
    return table && copyOf(table);
  }

  async putSealed(ino: Ino, chunk: number, blocks: BlockTable): Promise<void> {
    const copy = copyOf(blocks);
    await pause();
    this.#log.push(`seal ${chunk}`);
    this.#all.set(`${ino}/${chunk}`, copy);
  }

  async openChunks(ino: Ino, opened: OpenedChunks): Promise<void> {
    await pause();
    this.#log.push(`open ${opened.chunks.join()}`);
    for (const chunk of opened.chunks) this.#all.delete(`${ino}/${chunk}`);
    for (const key of [...this.#all.keys()]) {
      const [file, chunk] = key.split('/').map(Number);
      const { first, end } = opened.range;
      if (file === ino && Number(chunk) >= first && Number(chunk) < end) this.#all.delete(key);
    }
    this.#makeDurable();
  }

  async removeFiles(inos: readonly Ino[]): Promise<void> {
    await pause();
    this.#log.push('remove');
    for (const key of [...this.#all.keys()]) {
      if (inos.some((ino) => key.startsWith(`${ino}/`))) this.#all.delete(key);
    }
    this.#makeDurable();
  }

  /** @param keeps whether what need not be durable is there all the same */
  cutPower(keeps: boolean): void {
    if (keeps) this.#makeDurable();
    this.#all.clear();
    for (const [key, table] of this.#durable) this.#all.set(key, table);
  }

  #makeDurable(): void {
    this.#durable.clear();
    for (const [key, table] of this.#all) this.#durable.set(key, table);
  }
}

function copyOf(table: BlockTable): BlockTable {
  return { crcs: table.crcs.slice(), epochs: table.epochs.slice(), seqs: table.seqs.slice() };
}

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
