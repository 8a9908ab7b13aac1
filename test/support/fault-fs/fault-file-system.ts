import { S_IFDIR, S_IFLNK, S_IFMT } from '../../../src/common/attr.ts';
import { type ErrnoName, FsError } from '../../../src/common/errno.ts';
import { asGroupId, asIno, type Fh, type Ino } from '../../../src/common/ids.ts';
import type {
  AttrChanges,
  CreateResult,
  DirEntryResult,
  EntryResult,
  FileSystem,
  MakeNode,
  OpenDirResult,
  OpenResult,
  RenameNode,
  StatFsResult,
  StatResult,
  WriteNode,
} from '../../../src/mount/driver/driver.ts';
import { type FaultNode, FaultTree } from './fault-tree.ts';

const VALID_MS = 60_000;
const GIB = 2 ** 30;
const O_TRUNC = 0o1000;

function fail(code: ErrnoName): never {
  throw new FsError(code, 'fault filesystem');
}

/** A filesystem that forgets what was not synced: the layer under a store in power-cut tests. */
export class FaultFileSystem implements FileSystem {
  readonly #tree: FaultTree;
  readonly #handles = new Map<Fh, FaultNode>();
  #nextFh = 1;
  syncs = 0;

  constructor(dir: string) {
    this.#tree = new FaultTree(dir);
  }

  lookup(_context: unknown, parent: Ino, name: string): EntryResult {
    return this.#entry(this.#child(parent, name));
  }

  forget(): void {}

  readlink(_context: unknown, ino: Ino): string {
    return this.#node(ino).target;
  }

  mknod(_context: unknown, made: MakeNode): EntryResult {
    return this.#entry(this.#make(made));
  }

  symlink(
    _context: unknown,
    made: { readonly parent: Ino; readonly name: string; readonly target: string },
  ): EntryResult {
    return this.#entry(this.#make({ ...made, mode: S_IFLNK | 0o777 }));
  }

  unlink(_context: unknown, parent: Ino, name: string): void {
    this.#child(parent, name);
    this.#tree.change({ op: 'remove', parent, name });
  }

  rmdir(_context: unknown, parent: Ino, name: string): void {
    if (this.#child(parent, name).entries.size > 0) fail('ENOTEMPTY');
    this.#tree.change({ op: 'remove', parent, name });
  }

  rename(_context: unknown, node: RenameNode): void {
    if (node.flags !== 0) fail('EINVAL');
    this.#child(node.parent, node.name);
    const { parent, name, newParent, newName } = node;
    this.#tree.change({ op: 'rename', parent, name, newParent, newName });
  }

  link(
    _context: unknown,
    node: { readonly ino: Ino; readonly newParent: Ino; readonly newName: string },
  ): EntryResult {
    const { ino, newParent, newName } = node;
    this.#tree.change({ op: 'link', parent: newParent, name: newName, ino });
    return this.#entry(this.#node(ino));
  }

  getattr(_context: unknown, ino: Ino): StatResult {
    return this.#stat(this.#node(ino));
  }

  setattr(_context: unknown, ino: Ino, changes: AttrChanges): StatResult {
    const node = this.#node(ino);
    if (changes.size !== undefined) this.#truncate(node, changes.size);
    if (changes.mode !== undefined) {
      this.#tree.change({ op: 'mode', ino, mode: (node.mode & S_IFMT) | changes.mode });
    }
    return this.#stat(node);
  }

  open(_context: unknown, ino: Ino, options: { readonly flags: number }): OpenResult {
    const node = this.#node(ino);
    if ((options.flags & O_TRUNC) !== 0) this.#truncate(node, 0);
    return { fh: this.#handle(node), directIo: false, keepCache: true };
  }

  create(_context: unknown, made: MakeNode & { readonly flags: number }): CreateResult {
    const node = this.#make(made);
    return {
      fh: this.#handle(node),
      directIo: false,
      keepCache: true,
      entry: this.#entry(node),
    };
  }

  read(_context: unknown, fh: Fh, offset: number, target: Uint8Array): number {
    return this.#tree.file(this.#open(fh)).read(offset, target);
  }

  write(_context: unknown, write: WriteNode): void {
    const node = this.#open(write.fh);
    this.#tree.file(node).write(write.offset, write.data);
    node.mtimeMs = Date.now();
  }

  flush(): void {}

  fsync(_context: unknown, fh: Fh): void {
    this.syncs++;
    this.#tree.sync(this.#open(fh));
  }

  release(fh: Fh): void {
    this.#handles.delete(fh);
  }

  statfs(): StatFsResult {
    return { bytesTotal: 64 * GIB, bytesFree: 32 * GIB, files: 1 };
  }

  opendir(_context: unknown, ino: Ino): OpenDirResult {
    return { fh: this.#handle(this.#node(ino)), keepCache: false };
  }

  readdir(
    _context: unknown,
    fh: Fh,
    options: { readonly cookie: number; readonly withAttrs: boolean },
  ): DirEntryResult[] {
    return [...this.#open(fh).entries].slice(options.cookie).map(([name, ino], index) => {
      const stat = this.#stat(this.#node(asIno(ino)));
      const cookie = options.cookie + index + 1;
      return {
        cookie,
        name,
        ino: asIno(ino),
        type: stat.attr.mode & S_IFMT,
        stat,
        entryValidMs: 0,
      };
    });
  }

  remember(): void {}

  releasedir(fh: Fh): void {
    this.#handles.delete(fh);
  }

  #node(ino: Ino): FaultNode {
    return this.#tree.get(ino) ?? fail('ENOENT');
  }

  #child(parent: Ino, name: string): FaultNode {
    const ino = this.#node(parent).entries.get(name);
    return ino === undefined ? fail('ENOENT') : this.#node(asIno(ino));
  }

  #open(fh: Fh): FaultNode {
    return this.#handles.get(fh) ?? fail('EBADF');
  }

  #handle(node: FaultNode): Fh {
    const fh = this.#nextFh++ as Fh;
    this.#handles.set(fh, node);
    return fh;
  }

  #make(made: { parent: Ino; name: string; mode: number; target?: string }): FaultNode {
    const { parent, name, mode, target } = made;
    if (this.#node(parent).entries.has(name)) fail('EEXIST');
    const ino = this.#tree.nextIno();
    this.#tree.change({
      op: 'make',
      parent,
      name,
      ino,
      mode,
      ...(target !== undefined && { target }),
    });
    return this.#node(asIno(ino));
  }

  #truncate(node: FaultNode, size: number): void {
    this.#tree.file(node).truncate(size);
    this.#tree.change({ op: 'size', ino: node.ino, size });
  }

  #stat(node: FaultNode): StatResult {
    const size = node.file?.size ?? node.size;
    const time = { sec: Math.floor(node.mtimeMs / 1000), nsec: (node.mtimeMs % 1000) * 1e6 };
    const directory = (node.mode & S_IFMT) === S_IFDIR;
    const attr = {
      ino: asIno(node.ino),
      mode: node.mode,
      nlink: directory ? 2 : node.nlink,
      uid: 0,
      gid: 0,
      rdev: 0,
      size: node.target.length || size,
      atime: time,
      mtime: time,
      ctime: time,
      av: 1,
      dirv: 0,
      dv: 0,
      cuts: 0,
      rg: asGroupId(1),
    };
    return { attr, blocks: Math.ceil(size / 512), attrValidMs: VALID_MS };
  }

  #entry(node: FaultNode): EntryResult {
    return { ...this.#stat(node), entryValidMs: VALID_MS };
  }
}
