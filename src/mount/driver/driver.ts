/**
 * What a kernel driver needs from a filesystem: operations by inode and handle, no paths, no FUSE
 * types. The vfs implements it; drivers translate their protocol into these calls and nothing else.
 *
 * A result is a value when the work is done at return, a promise when it has to wait. Failures are
 * FsErrors, thrown or rejected; anything else is a bug and is answered EIO.
 */
import type { Attr, Timespec } from '../../common/attr.ts';
import type { Lock, LockPlace } from '../../common/core/locks.ts';
import type { Fh, Ino } from '../../common/ids.ts';
import type { WaitsFor } from '../../common/rpc/session-options.ts';

export type Result<T> = T | Promise<T>;

/** One kernel request: who asks, and the id that makes a mutation of it execute once. */
export interface RequestContext {
  readonly uid: number;
  readonly gid: number;
  /** Number of the kernel connection. */
  readonly connection: number;
  /** Even; the next odd number belongs to a second mutation of the same request. */
  readonly unique: number;
  /** Every mutation of this connection up to this unique has been answered to the kernel. */
  acked(): number;
  /** Set while the request waits for something that may take long; called when it is interrupted. */
  interrupt: (() => void) | undefined;
  /** It was interrupted: a wait that begins later may be given up at once. */
  interrupted: boolean;
  /** What it waits for at the moment, for `dfs status`. */
  waitsFor: WaitsFor | undefined;
}

/** A request of the kernel without an answer. */
export interface StuckRequest {
  /** `WRITE` */
  readonly op: string;
  /** Since it came, milliseconds. */
  readonly ms: number;
  /** The inode it is about; the directory, for what is about a name. */
  readonly ino: number;
  readonly for: WaitsFor | undefined;
  readonly context: RequestContext;
}

/**
 * An attribute set as stat(2) shows it, with how long the kernel may keep it: to be read when the
 * answer is written, not before.
 */
export interface StatResult {
  readonly attr: Attr;
  /** Allocated 512-byte units. */
  readonly blocks: number;
  readonly attrValidMs: number;
}

/** A name's inode. The caller owes one forget for each. */
export interface EntryResult extends StatResult {
  readonly entryValidMs: number;
}

/** There is no such name, and the kernel may remember that. */
export interface AbsentResult {
  readonly absent: true;
  readonly entryValidMs: number;
}

export interface OpenDirResult {
  readonly fh: Fh;
  /** The kernel may keep the listing, and what it has kept of it is still right. */
  readonly keepCache: boolean;
}

export interface OpenResult {
  readonly fh: Fh;
  /** Reads and writes bypass the kernel's page cache. */
  readonly directIo: boolean;
  /** Pages the kernel holds of this inode are still right. */
  readonly keepCache: boolean;
}

export interface CreateResult extends OpenResult {
  readonly entry: EntryResult;
}

/** Absent members stay as they are; 'now' is the metaserver's clock. */
export interface AttrChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Timespec | 'now';
  readonly mtime?: Timespec | 'now';
  /** Drop set-user-id, and set-group-id where the group may execute. */
  readonly killSuidGid: boolean;
}

export interface DirEntryResult {
  /** Where the listing goes on after this entry. */
  readonly cookie: number;
  /** One latin1 char a byte. */
  readonly name: string;
  readonly ino: Ino;
  /** S_IFMT bits. */
  readonly type: number;
  /** For readdirplus; absent for "." and "..". */
  readonly stat: StatResult | undefined;
  /** How long the kernel may keep the name; as attrValidMs. */
  readonly entryValidMs: number;
}

export interface StatFsResult {
  readonly bytesTotal: number;
  readonly bytesFree: number;
  readonly files: number;
}

export interface MakeNode {
  readonly parent: Ino;
  readonly name: string;
  /** Type and permissions, the umask already applied. */
  readonly mode: number;
  readonly rdev: number;
}

export interface RenameNode {
  readonly parent: Ino;
  readonly name: string;
  readonly newParent: Ino;
  readonly newName: string;
  /** RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. */
  readonly flags: number;
}

export interface WriteNode {
  readonly fh: Fh;
  readonly offset: number;
  /** Belongs to the driver; valid until the result settles. */
  readonly data: Uint8Array;
  readonly killSuidGid: boolean;
  /** Stored through a mapping, some time ago. */
  readonly mapped: boolean;
}

export interface NameOperations {
  lookup(context: RequestContext, parent: Ino, name: string): Result<EntryResult | AbsentResult>;
  /** The kernel gives back `count` references of lookups, creations and listings. */
  forget(ino: Ino, count: number): void;
  readlink(context: RequestContext, ino: Ino): Result<string>;
  mknod(context: RequestContext, node: MakeNode): Result<EntryResult>;
  symlink(
    context: RequestContext,
    node: { readonly parent: Ino; readonly name: string; readonly target: string },
  ): Result<EntryResult>;
  unlink(context: RequestContext, parent: Ino, name: string): Result<void>;
  rmdir(context: RequestContext, parent: Ino, name: string): Result<void>;
  rename(context: RequestContext, node: RenameNode): Result<void>;
  link(
    context: RequestContext,
    node: { readonly ino: Ino; readonly newParent: Ino; readonly newName: string },
  ): Result<EntryResult>;
}

export interface FileOperations {
  /** `opened`: through a descriptor, and what is read next ends where the kernel has the size. */
  getattr(context: RequestContext, ino: Ino, opened?: boolean): Result<StatResult>;
  setattr(context: RequestContext, ino: Ino, changes: AttrChanges): Result<StatResult>;
  /** `flags` are open(2)'s. */
  open(
    context: RequestContext,
    ino: Ino,
    options: { readonly flags: number; readonly killSuidGid: boolean },
  ): Result<OpenResult>;
  create(
    context: RequestContext,
    node: MakeNode & { readonly flags: number },
  ): Result<CreateResult>;
  /** Fills `target` from the start. @returns bytes read, fewer only at end of file */
  read(context: RequestContext, fh: Fh, offset: number, target: Uint8Array): Result<number>;
  /** Takes all of it or throws. */
  write(context: RequestContext, write: WriteNode): Result<void>;
  /** Every close(2) publishes size and times, and gives up what its process, `owner`, has locked. */
  flush(context: RequestContext, fh: Fh, owner?: string): Result<void>;
  fsync(context: RequestContext, fh: Fh): Result<void>;
  /** `flockOwner`: who locked it by flock(2), if anybody did. */
  release(fh: Fh, flockOwner?: string): Result<void>;
  statfs(context: RequestContext): Result<StatFsResult>;
}

export interface DirOperations {
  opendir(context: RequestContext, ino: Ino): Result<OpenDirResult>;
  /** Entries after `cookie` (0 starts); an empty list is the end. */
  readdir(
    context: RequestContext,
    fh: Fh,
    options: { readonly cookie: number; readonly withAttrs: boolean },
  ): Result<readonly DirEntryResult[]>;
  /** The driver passed this entry with its attributes on: one more forget is owed. */
  remember(attr: Attr): void;
  releasedir(fh: Fh): void;
}

/**
 * Advisory locks. An owner is a process or an open file, as the kernel numbers them; for flock(2) it
 * is the handle.
 */
export interface LockOperations {
  /** A lock that is in the way of this one. Its pid is 0 where it is another machine's. */
  getlk(context: RequestContext, lock: Lock): Result<Lock | undefined>;
  /** `fh`: what an open file description has locked ends with its handle. */
  setlk(context: RequestContext, fh: Fh, lock: Lock, waits: boolean): Result<void>;
  unlock(context: RequestContext, place: LockPlace): Result<void>;
}

export interface FileSystem extends NameOperations, FileOperations, DirOperations {
  /** Without them the kernel locks by itself, for this machine alone. */
  readonly locks?: LockOperations;
}
