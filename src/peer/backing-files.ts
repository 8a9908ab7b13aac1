/**
 * Where backing files lie, and the descriptors on them: data/ab/cd/<ino> with the ino in decimal,
 * ab its bits 16-23 and cd its bits 8-15 in hex. Inos are handed out in sequence, so 256 files
 * made after one another share a folder, and one folder sync makes all their names durable.
 *
 * At most `descriptorsMax` descriptors are kept, the least recently used are closed first; one
 * that is pinned by pending work is closed when that ends.
 */
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Ino } from '../common/ids.ts';
import type { FileIo } from './file-io.ts';

export const FOLDER_COUNT = 2 ** 16;

/** The number of the folder an ino belongs to: 0xabcd. */
export function folderOf(ino: Ino): number {
  return Math.floor(ino / 256) % FOLDER_COUNT;
}

/** `ab/cd` */
export function folderPath(folder: number): string {
  const hex = folder.toString(16).padStart(4, '0');
  return `${hex.slice(0, 2)}/${hex.slice(2)}`;
}

interface Descriptor {
  readonly fd: number;
  pins: number;
  retired: boolean;
}

/** Counts the names made in a folder, and how many of them a sync has covered. */
interface Folder {
  made: number;
  durable: number;
}

export interface BackingFilesOptions {
  readonly dataDir: string;
  readonly io: FileIo;
  readonly descriptorsMax: number;
}

export class BackingFiles {
  readonly #dataDir: string;
  readonly #io: FileIo;
  readonly #descriptors: LRUCache<number, Descriptor>;
  readonly #folders = new Map<number, Folder>();
  #openCount = 0;

  constructor(options: BackingFilesOptions) {
    this.#dataDir = options.dataDir;
    this.#io = options.io;
    this.#descriptors = new LRUCache<number, Descriptor>({
      max: options.descriptorsMax,
      dispose: (descriptor) => this.#retire(descriptor),
    });
  }

  get openCount(): number {
    return this.#openCount;
  }

  pathOf(ino: Ino): string {
    return join(this.#dataDir, folderPath(folderOf(ino)), String(ino));
  }

  /** For use before the next await only. The file must exist. */
  descriptor(ino: Ino): number {
    return this.#descriptors.get(ino)?.fd ?? this.#open(ino, false).fd;
  }

  create(ino: Ino): number {
    const { fd } = this.#open(ino, true);
    this.#folder(ino).made += 1;
    return fd;
  }

  /** The descriptor stays open until `work` is done. */
  async withDescriptor<T>(ino: Ino, work: (fd: number) => Promise<T>): Promise<T> {
    const descriptor = this.#descriptors.get(ino) ?? this.#open(ino, false);
    descriptor.pins += 1;
    try {
      return await work(descriptor.fd);
    } finally {
      descriptor.pins -= 1;
      if (descriptor.retired) this.#retire(descriptor);
    }
  }

  /** A restart of the machine finds the file under its name once this resolves. */
  async makeNameDurable(ino: Ino): Promise<void> {
    const number = folderOf(ino);
    const folder = this.#folder(ino);
    const { made } = folder;
    if (folder.durable >= made) return;
    const path = join(this.#dataDir, folderPath(number));
    await this.#io.syncDirectory(path);
    if (folder.durable === 0) {
      await this.#io.syncDirectory(join(path, '..'));
      await this.#io.syncDirectory(this.#dataDir);
    }
    folder.durable = Math.max(folder.durable, made);
  }

  /** Deletes the files and makes that durable; missing ones are fine. */
  async remove(inos: readonly Ino[]): Promise<void> {
    const folders = new Set<number>();
    for (const ino of inos) {
      this.close(ino);
      if (this.#io.stat(this.pathOf(ino)) === undefined) continue;
      await this.#io.unlink(this.pathOf(ino));
      folders.add(folderOf(ino));
    }
    for (const folder of folders) {
      await this.#io.syncDirectory(join(this.#dataDir, folderPath(folder)));
    }
  }

  close(ino: Ino): void {
    this.#descriptors.delete(ino);
  }

  closeAll(): void {
    this.#descriptors.clear();
  }

  #open(ino: Ino, create: boolean): Descriptor {
    const fd = this.#io.open(this.pathOf(ino), { create });
    this.#openCount += 1;
    const descriptor = { fd, pins: 0, retired: false };
    this.#descriptors.set(ino, descriptor);
    return descriptor;
  }

  #retire(descriptor: Descriptor): void {
    descriptor.retired = true;
    if (descriptor.pins > 0) return;
    this.#openCount -= 1;
    this.#io.close(descriptor.fd);
  }

  /** A folder met for the first time counts one name: those an earlier process life left. */
  #folder(ino: Ino): Folder {
    const number = folderOf(ino);
    let folder = this.#folders.get(number);
    if (folder === undefined) {
      folder = { made: 1, durable: 0 };
      this.#folders.set(number, folder);
    }
    return folder;
  }
}
