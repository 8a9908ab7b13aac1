/** Names: lookup, creation, removal, rename, link. The metaserver decides; hints go along. */
import { isRegular, S_IFLNK } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import type {
  AbsentResult,
  EntryResult,
  MakeNode,
  NameOperations,
  RenameNode,
  RequestContext,
  Result,
} from '../driver/driver.ts';
import type { KnownTarget, Removed } from '../meta-client.ts';
import type { Inode } from './inode.ts';
import { notByName } from './refresh.ts';
import { changedEntry, entryResult, type VfsShared } from './shared.ts';

const RENAME_EXCHANGE = 2;
const SYMLINK_MODE = S_IFLNK | 0o777;

export class NameOps implements NameOperations {
  readonly #shared: VfsShared;

  constructor(shared: VfsShared) {
    this.#shared = shared;
  }

  lookup(context: RequestContext, parent: Ino, name: string): Result<EntryResult | AbsentResult> {
    const { inodes, meta, names } = this.#shared;
    const known = meta.cache.lookup(parent, name);
    if (known === 'absent') return this.#absent(parent, name);
    if (known === undefined) return this.#lookup(context, parent, name);
    names.set(parent, name, known.ino);
    return entryResult(this.#shared, { parent, name }, inodes.remember(known));
  }

  async #lookup(
    context: RequestContext,
    parent: Ino,
    name: string,
  ): Promise<EntryResult | AbsentResult> {
    const { leases, meta, names } = this.#shared;
    const options = {
      grantParent: !leases.holds(parent),
      noGrant: (this.#seen(parent, name)?.writers ?? 0) > 0,
    };
    try {
      const attr = await meta.lookup(context, parent, name, options);
      const inode = this.#shared.inodes.remember(attr);
      names.set(parent, name, inode.ino);
      return await entryResult(this.#shared, { parent, name }, inode);
    } catch (error) {
      names.delete(parent, name);
      const isAbsent = error instanceof FsError && error.code === 'ENOENT';
      if (isAbsent && meta.cache.lookup(parent, name) === 'absent')
        return this.#absent(parent, name);
      throw error;
    }
  }

  #absent(parent: Ino, name: string): AbsentResult {
    const { leases, meta } = this.#shared;
    return {
      absent: true,
      get entryValidMs() {
        if (!meta.cache.isNamed(parent, name, 'absent')) return 0;
        return leases.nameValidMs(parent, { name, isDirectory: false });
      },
    };
  }

  forget(ino: Ino, count: number): void {
    const inode = this.#shared.inodes.get(ino);
    if (inode === undefined) return;
    inode.lookups = Math.max(0, inode.lookups - count);
    if (inode.lookups === 0) this.#shared.kernel.dropped(ino);
    this.#shared.inodes.settle(inode);
  }

  async readlink(context: RequestContext, ino: Ino): Promise<string> {
    try {
      return await this.#shared.meta.readlink(context, ino);
    } catch (error) {
      throw notByName(error, ino);
    }
  }

  mknod(context: RequestContext, node: MakeNode): Promise<EntryResult> {
    return this.#make(context, node);
  }

  symlink(
    context: RequestContext,
    node: { readonly parent: Ino; readonly name: string; readonly target: string },
  ): Promise<EntryResult> {
    return this.#make(context, { ...node, mode: SYMLINK_MODE, rdev: 0 });
  }

  unlink(context: RequestContext, parent: Ino, name: string): Promise<void> {
    return this.#remove(context, { parent, name, directory: false });
  }

  rmdir(context: RequestContext, parent: Ino, name: string): Promise<void> {
    return this.#remove(context, { parent, name, directory: true });
  }

  async rename(context: RequestContext, node: RenameNode): Promise<void> {
    const { leases, meta, names } = this.#shared;
    const isExchange = (node.flags & RENAME_EXCHANGE) !== 0;
    const source = this.#seen(node.parent, node.name);
    const target = this.#seen(node.newParent, node.newName);
    if (target !== undefined) await this.#settleSource(context, source);
    const { attr, replaced } = await this.#removing(
      target,
      (known) => meta.rename(context, node, known),
      (renamed) => renamed.replaced,
    );
    // No hint told that a file would be replaced: better late than never.
    if (target === undefined && replaced !== undefined) {
      await this.#settleSource(context, this.#shared.inodes.get(attr.ino) ?? source);
    }
    this.#shared.inodes.get(attr.ino)?.update(attr);
    names.set(node.newParent, node.newName, attr.ino);
    if (!isExchange) names.delete(node.parent, node.name);
    else if (replaced !== undefined) names.set(node.parent, node.name, replaced.attr.ino);
    await leases.nameMoved(node.parent, node.newParent, node.newName);
    if (isExchange) await leases.nameMoved(node.newParent, node.parent, node.name);
  }

  async link(
    context: RequestContext,
    node: { readonly ino: Ino; readonly newParent: Ino; readonly newName: string },
  ): Promise<EntryResult> {
    const inode = this.#shared.inodes.remember(await this.#shared.meta.link(context, node));
    this.#shared.names.set(node.newParent, node.newName, inode.ino);
    return changedEntry(this.#shared, { parent: node.newParent, name: node.newName }, inode);
  }

  async #make(
    context: RequestContext,
    node: MakeNode & { readonly target?: string },
  ): Promise<EntryResult> {
    const { attr } = await this.#shared.meta.make(context, node);
    const inode = this.#shared.inodes.remember(attr);
    if (isRegular(attr.mode)) this.#shared.data.of(inode).created(inode.ino);
    this.#shared.names.set(node.parent, node.name, inode.ino);
    return changedEntry(this.#shared, node, inode);
  }

  async #remove(
    context: RequestContext,
    entry: { readonly parent: Ino; readonly name: string; readonly directory: boolean },
  ): Promise<void> {
    const target = this.#seen(entry.parent, entry.name);
    await this.#removing(
      target,
      (known) => this.#shared.meta.remove(context, entry, known),
      (removed) => removed,
    );
    this.#shared.names.delete(entry.parent, entry.name);
  }

  /**
   * A replaced file is gone for good, so what takes its place must be whole on disk first. What
   * this inode object remembers says nothing about it: the file may have been forgotten since.
   */
  async #settleSource(context: RequestContext, source: Inode | undefined): Promise<void> {
    if (source === undefined || !isRegular(source.attr.mode)) return;
    await this.#shared.publisher.sync(source, context);
  }

  /**
   * Runs a removal that `target` may fall to: opens of it wait until the outcome is known, and
   * find it noted.
   */
  #removing<T>(
    target: Inode | undefined,
    remove: (known: KnownTarget) => Promise<T>,
    lost: (result: T) => Removed | undefined,
  ): Promise<T> {
    const known = { ino: target?.ino, open: target !== undefined && target.opens > 0 };
    const removal = remove(known).then((result) => {
      const removed = lost(result);
      if (removed !== undefined) this.#lostLink(removed);
      return result;
    });
    target?.falls(removal);
    return removal;
  }

  /** An inode lost a name; without any left it stays only as long as it is open here. */
  #lostLink({ attr, kept }: Removed): void {
    const { inodes, unlinked } = this.#shared;
    const inode = inodes.get(attr.ino);
    inode?.update(attr);
    if (attr.nlink > 0) return;
    const open = inode !== undefined && inode.opens > 0;
    if (inode !== undefined) {
      inode.kept = kept && open;
      inode.gone = !inode.kept;
      inodes.settle(inode);
    }
    if (kept && !open) unlinked.add(attr.ino);
  }

  #seen(parent: Ino, name: string): Inode | undefined {
    const ino = this.#shared.names.get(parent, name);
    return ino === undefined ? undefined : this.#shared.inodes.get(ino);
  }
}
