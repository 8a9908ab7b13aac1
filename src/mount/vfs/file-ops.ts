/**
 * Files: attributes, handles and data. What this mount writes is longer and younger than the
 * metaserver knows until it has published it.
 */
import { FILE_BYTES_MAX, isDirectory, isRegular } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Fh, Ino } from '../../common/ids.ts';
import type {
  AttrChanges,
  CreateResult,
  FileOperations,
  MakeNode,
  OpenResult,
  RequestContext,
  Result,
  StatFsResult,
  StatResult,
  WriteNode,
} from '../driver/driver.ts';
import { type FileHandle, HandleTable } from './handles.ts';
import { type Inode, inOrder } from './inode.ts';
import { refresh } from './refresh.ts';
import { entryStat, loadInode, statResult, type VfsShared, withLookup } from './shared.ts';

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

/** How long an open file is answered from memory while there are other mounts. */
const CHECK_MS = 1_000;
const RESIZE_TRIES = 5;

type ResizeChanges = AttrChanges & { readonly size: number; readonly nth?: 0 | 1 };

export class FileOps implements FileOperations {
  readonly #shared: VfsShared;
  readonly #handles = new HandleTable<FileHandle>();

  constructor(shared: VfsShared) {
    this.#shared = shared;
  }

  get openCount(): number {
    return this.#handles.size;
  }

  /**
   * An open file is answered from here: its attributes were fetched by the lookup before the open,
   * and close-to-open promises no more. While there are other mounts it is asked about once a
   * second, so that whoever follows a growing file sees it grow. read(2) asks each time.
   */
  getattr(context: RequestContext, ino: Ino): Result<StatResult> {
    const known = this.#shared.inodes.get(ino);
    if (known !== undefined && (known.gone || known.opens > 0)) {
      if (known.gone || !this.#mustCheck(known)) return statResult(this.#shared, known);
      return this.#fetchAttr(context, ino);
    }
    const attr = this.#shared.meta.cache.attr(ino);
    if (attr === undefined) return this.#fetchAttr(context, ino);
    known?.update(attr);
    return statResult(this.#shared, known ?? { attr });
  }

  async setattr(context: RequestContext, ino: Ino, changes: AttrChanges): Promise<StatResult> {
    const inode = await loadInode(this.#shared, context, ino);
    try {
      await this.#setattr(context, inode, changes);
      return await statResult(this.#shared, inode);
    } finally {
      this.#shared.inodes.settle(inode);
    }
  }

  async open(
    context: RequestContext,
    ino: Ino,
    options: { readonly flags: number; readonly killSuidGid: boolean },
  ): Promise<OpenResult> {
    const inode = await loadInode(this.#shared, context, ino);
    const opened = await this.#openPresent(inode, options.flags);
    try {
      if ((options.flags & O_TRUNC) !== 0) {
        await this.#setattr(context, inode, { size: 0, killSuidGid: options.killSuidGid });
      }
      return opened;
    } catch (error) {
      await this.release(opened.fh);
      throw error;
    }
  }

  async create(
    context: RequestContext,
    node: MakeNode & { readonly flags: number },
  ): Promise<CreateResult> {
    const { inodes, meta, names } = this.#shared;
    const openExisting = (node.flags & O_EXCL) === 0;
    const { attr, existed } = await meta.make(context, { ...node, openExisting });
    const inode = inodes.remember(attr);
    names.set(node.parent, node.name, inode.ino);
    if (!existed) this.#shared.data.of(inode).created(inode.ino);
    return withLookup(this.#shared, inode, async () => {
      const opened = await this.#openPresent(inode, node.flags);
      try {
        if (existed && (node.flags & O_TRUNC) !== 0) {
          await this.#setattr(context, inode, { size: 0, killSuidGid: true, nth: 1 });
        }
        return { ...opened, entry: await entryStat(this.#shared, inode) };
      } catch (error) {
        await this.release(opened.fh);
        throw error;
      }
    });
  }

  read(context: RequestContext, fh: Fh, offset: number, target: Uint8Array): Result<number> {
    const { inode } = this.#handles.get(fh);
    const length = Math.min(target.length, Math.max(0, inode.size - offset));
    if (length === 0) return 0;
    const part = length === target.length ? target : target.subarray(0, length);
    const done = this.#shared.data.of(inode).read(context, inode, offset, part);
    return done instanceof Promise ? done.then(() => length) : length;
  }

  write(context: RequestContext, write: WriteNode): Result<void> {
    const handle = this.#handles.get(write.fh);
    const { inode } = handle;
    const path = this.#shared.data.of(inode);
    if (inode.resizing || path.mustPrepare(inode)) {
      context.waitsFor = 'disk';
      const ready = inOrder(inode, () => path.prepare(inode, context));
      return ready.then(() => this.write(context, write));
    }
    // Where the file ends is known only when earlier writes are done.
    if (handle.append && inode.writing !== undefined) {
      return inode.writing.then(() => this.write(context, write));
    }
    const offset = handle.append ? inode.size : write.offset;
    const end = offset + write.data.length;
    if (end > FILE_BYTES_MAX) throw new FsError('EFBIG', `write at ${offset} of ino ${inode.ino}`);
    const written = path.write(inode, offset, write.data, this.#shared.clock.realtime());
    if (written instanceof Promise) inode.track(written);
    if (!write.killSuidGid) return written;
    const kill = (): Promise<void> => this.#setattr(context, inode, { killSuidGid: true });
    return written === undefined ? kill() : written.then(kill);
  }

  flush(context: RequestContext, fh: Fh): Result<void> {
    const { inode } = this.#handles.get(fh);
    if (inode.dirty === undefined) return undefined;
    return this.#shared.publisher.publish(inode, context);
  }

  fsync(context: RequestContext, fh: Fh): Promise<void> {
    return this.#shared.publisher.sync(this.#handles.get(fh).inode, context);
  }

  async release(fh: Fh): Promise<void> {
    const handle = this.#handles.close(fh);
    if (handle === undefined) return;
    const { inode } = handle;
    const { data, inodes, publisher, unlinked } = this.#shared;
    inode.opens--;
    if (inode.opens > 0) return;
    // What cannot be published now stays with the inode, for write-back.
    await publisher.tryPublish(inode);
    if (inode.opens > 0) return;
    data.of(inode).release(inode);
    if (inode.kept) {
      inode.kept = false;
      inode.gone = true;
      unlinked.add(inode.ino);
    }
    inodes.settle(inode);
  }

  async statfs(context: RequestContext): Promise<StatFsResult> {
    const { files } = await this.#shared.meta.statfs(context);
    const { bytesTotal, bytesFree } = this.#shared.data.space();
    return { bytesTotal, bytesFree, files };
  }

  async #fetchAttr(context: RequestContext, ino: Ino): Promise<StatResult> {
    const { inodes, meta } = this.#shared;
    const attr = await meta.getattr(context, ino);
    const open = inodes.get(ino);
    if (open !== undefined) open.checkedMs = this.#shared.clock.bootMs();
    // No reference comes with the answer, so it is no reason to keep an inode.
    const known = inodes.get(ino) === undefined ? { attr } : inodes.remember(attr);
    return statResult(this.#shared, known);
  }

  /** @throws FsError ENOENT when it fell to a removal that was under way */
  async #openPresent(inode: Inode, flags: number): Promise<OpenResult> {
    while (inode.removal !== undefined) await inode.removal;
    // No wait from here to the count, so that a removal that starts next sees it.
    if (!inode.gone) return this.#open(inode, flags);
    this.#shared.inodes.settle(inode);
    throw new FsError('ENOENT', `ino ${inode.ino} was removed`);
  }

  #open(inode: Inode, flags: number): OpenResult {
    if (isDirectory(inode.attr.mode)) throw new FsError('EISDIR', `open of ino ${inode.ino}`);
    inode.opens++;
    inode.checkedMs = this.#shared.clock.bootMs();
    const append = (flags & O_APPEND) !== 0 && (flags & O_ACCMODE) !== O_RDONLY;
    return { fh: this.#handles.open({ inode, append }), directIo: append, keepCache: false };
  }

  /** Answers from memory have their time: what other mounts did since shows up then. */
  #mustCheck(inode: Inode): boolean {
    const { clock, meta } = this.#shared;
    return !meta.cache.isUsable && meta.up && clock.bootMs() - inode.checkedMs > CHECK_MS;
  }

  async #setattr(
    context: RequestContext,
    inode: Inode,
    changes: AttrChanges & { readonly nth?: 0 | 1 },
  ): Promise<void> {
    const { size } = changes;
    if (size === undefined) {
      await inOrder(inode, () => this.#shared.publisher.setattr(context, inode, changes));
      return;
    }
    if (!isRegular(inode.attr.mode)) throw new FsError('EINVAL', `truncate of ino ${inode.ino}`);
    await inOrder(inode, () => this.#resize(context, inode, { ...changes, size }));
  }

  /** In order. Writes wait meanwhile. */
  async #resize(context: RequestContext, inode: Inode, changes: ResizeChanges): Promise<void> {
    inode.resizing = true;
    try {
      await inode.writing;
      await this.#shared.data.of(inode).prepare(inode, context);
      if (!this.#shared.data.isLocal(inode)) await this.#shared.publisher.flush(inode, context);
      await this.#setSize(context, inode, changes);
    } finally {
      inode.resizing = false;
    }
  }

  /** Again when another mount has cut the file meanwhile. */
  async #setSize(context: RequestContext, inode: Inode, changes: ResizeChanges): Promise<void> {
    const { data, meta } = this.#shared;
    for (let tries = 1; ; tries++) {
      try {
        await this.#trySetSize(context, inode, changes);
        return;
      } catch (error) {
        const cutMeanwhile = error instanceof FsError && error.code === 'ESTALE' && !inode.gone;
        if (!cutMeanwhile || tries === RESIZE_TRIES) throw error;
      }
      await refresh(meta, inode, context);
      await data.of(inode).prepare(inode, context);
    }
  }

  async #trySetSize(context: RequestContext, inode: Inode, changes: ResizeChanges): Promise<void> {
    const { size } = changes;
    const path = this.#shared.data.of(inode);
    const { cuts, dirty } = inode;
    if (size > inode.size) await path.grow(inode, size, context);
    context.waitsFor = 'metaserver';
    const cut = dirty !== undefined && dirty.end > size;
    const attr = await this.#shared.meta.setattr(context, inode.ino, { ...changes, cuts, cut });
    inode.update(attr);
    inode.resized();
    if (attr.cuts > cuts) await path.cut(inode, size, context);
  }
}
