/** Listings: "." and ".." from here, the rest in pages from the metaserver, by entry seq. */
import { type Attr, isDirectory, S_IFDIR } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Fh, Ino } from '../../common/ids.ts';
import type { DirEntryResult, DirOperations, RequestContext } from '../driver/driver.ts';
import type { DirPage } from '../meta-client.ts';
import { type DirHandle, HandleTable } from './handles.ts';
import { listedStat, loadInode, type VfsShared } from './shared.ts';

const DOT_COOKIE = 1;
const DOT_DOT_COOKIE = 2;
/** Enough for one 32 KiB listing request, small against the message limit. */
const PAGE_ENTRIES = 512;

export class DirOps implements DirOperations {
  readonly #shared: VfsShared;
  readonly #handles = new HandleTable<DirHandle>();

  constructor(shared: VfsShared) {
    this.#shared = shared;
  }

  async opendir(context: RequestContext, ino: Ino): Promise<Fh> {
    const inode = await loadInode(this.#shared, context, ino);
    if (!isDirectory(inode.attr.mode)) throw new FsError('ENOTDIR', `opendir of ino ${ino}`);
    return this.#handles.open({ inode, page: undefined });
  }

  async readdir(
    context: RequestContext,
    fh: Fh,
    options: { readonly cookie: number; readonly withAttrs: boolean },
  ): Promise<readonly DirEntryResult[]> {
    const handle = this.#handles.get(fh);
    if (handle.inode.gone) return [];
    const page = await this.#page(context, handle, options);
    const listed = page.entries.filter((entry) => entry.cookie > options.cookie);
    const entries = await Promise.all(
      listed.map(async (entry): Promise<DirEntryResult> => {
        this.#shared.names.set(handle.inode.ino, entry.name, entry.ino);
        const stat = entry.attr && (await listedStat(this.#shared, entry.attr));
        return { ...entry, stat };
      }),
    );
    return [...this.#dots(handle, page, options.cookie), ...entries];
  }

  remember(attr: Attr): void {
    const { inodes } = this.#shared;
    const known = inodes.get(attr.ino);
    known?.update(attr);
    const inode = known ?? inodes.remember(attr);
    if (known === undefined) inode.listed = true;
    inode.lookups++;
  }

  releasedir(fh: Fh): void {
    const handle = this.#handles.close(fh);
    if (handle !== undefined) this.#shared.inodes.settle(handle.inode);
  }

  /** The page that goes on after the cookie: the handle's last one where it still does. */
  async #page(
    context: RequestContext,
    handle: DirHandle,
    options: { readonly cookie: number; readonly withAttrs: boolean },
  ): Promise<DirPage> {
    const { cookie, withAttrs } = options;
    const { page } = handle;
    const last = page?.entries.at(-1)?.cookie ?? 0;
    const goesOn = page !== undefined && cookie >= page.after && (cookie < last || page.end);
    if (goesOn && cookie > DOT_DOT_COOKIE && (page.withAttrs || !withAttrs)) return page;
    const after = Math.max(cookie, DOT_DOT_COOKIE);
    const entriesMax = PAGE_ENTRIES;
    const next = await this.#shared.meta.readdir(context, handle.inode.ino, {
      cookie: after,
      entriesMax,
      withAttrs,
    });
    handle.page = { ...next, after, withAttrs };
    return next;
  }

  #dots(handle: DirHandle, page: DirPage, cookie: number): DirEntryResult[] {
    const dot = (at: number, name: string, ino: Ino): DirEntryResult => ({
      cookie: at,
      name,
      ino,
      type: S_IFDIR,
      stat: undefined,
    });
    const dots: DirEntryResult[] = [];
    if (cookie < DOT_COOKIE) dots.push(dot(DOT_COOKIE, '.', handle.inode.ino));
    if (cookie < DOT_DOT_COOKIE) dots.push(dot(DOT_DOT_COOKIE, '..', page.parent));
    return dots;
  }
}
