/** Listings: "." and ".." from here, the rest in pages from the metaserver, by entry seq. */
import { type Attr, isDirectory, S_IFDIR } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Fh, Ino } from '../../common/ids.ts';
import type {
  DirEntryResult,
  DirOperations,
  OpenDirResult,
  RequestContext,
  Result,
} from '../driver/driver.ts';
import { type DirHandle, HandleTable, type ListedPage } from './handles.ts';
import type { Inode } from './inode.ts';
import { listedStat, type VfsShared } from './shared.ts';

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

  /** Under a lease, so that the kernel may keep the listing until it is called back. */
  opendir(context: RequestContext, ino: Ino): Result<OpenDirResult> {
    const { inodes, leases } = this.#shared;
    const known = inodes.get(ino);
    if (known !== undefined && leases.holds(ino)) return this.#open(known);
    return this.#load(context, ino);
  }

  async #load(context: RequestContext, ino: Ino): Promise<OpenDirResult> {
    const { inodes, meta } = this.#shared;
    return this.#open(inodes.remember(await meta.getattr(context, ino)));
  }

  #open(inode: Inode): OpenDirResult {
    const { leases } = this.#shared;
    const { ino } = inode;
    if (!isDirectory(inode.attr.mode)) throw new FsError('ENOTDIR', `opendir of ino ${ino}`);
    return {
      fh: this.#handles.open({ inode, page: undefined }),
      get keepCache() {
        return leases.validMs(ino) > 0;
      },
    };
  }

  async readdir(
    context: RequestContext,
    fh: Fh,
    options: { readonly cookie: number; readonly withAttrs: boolean },
  ): Promise<readonly DirEntryResult[]> {
    const handle = this.#handles.get(fh);
    if (handle.inode.gone) return [];
    const page = await this.#page(context, handle, options);
    const { leases, meta } = this.#shared;
    const dir = handle.inode.ino;
    const listed = page.entries.filter((entry) => entry.cookie > options.cookie);
    const entries = await Promise.all(
      listed.map(async (entry): Promise<DirEntryResult> => {
        this.#shared.names.set(handle.inode.ino, entry.name, entry.ino);
        const told = { name: entry.name, isDirectory: entry.type === S_IFDIR };
        const stat = entry.attr && (await listedStat(this.#shared, entry.attr));
        return {
          ...entry,
          stat,
          get entryValidMs() {
            const isNow = leases.lseqOf(dir) === page.lseq;
            return isNow && meta.cache.isNamed(dir, entry.name, entry.ino)
              ? leases.nameValidMs(dir, told)
              : 0;
          },
        };
      }),
    );
    return [...this.#dots(handle, page, options.cookie), ...entries];
  }

  remember(attr: Attr): void {
    const { inodes, meta } = this.#shared;
    // A listing may be older than what was learned since.
    inodes.remember(meta.cache.attr(attr.ino) ?? attr).lookups++;
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
  ): Promise<ListedPage> {
    const { cookie, withAttrs } = options;
    const { page } = handle;
    const last = page?.entries.at(-1)?.cookie ?? 0;
    const { leases, meta } = this.#shared;
    const dir = handle.inode.ino;
    // Under a later lease, and after a change from here, it may show names that have gone.
    const held = leases.holds(dir) && page?.lseq === leases.lseqOf(dir);
    const isNow = held && page.dirv === meta.cache.attr(dir)?.dirv;
    const goesOn = page !== undefined && cookie >= page.after && (cookie < last || page.end);
    if (isNow && goesOn && cookie > DOT_DOT_COOKIE && (page.withAttrs || !withAttrs)) return page;
    const after = Math.max(cookie, DOT_DOT_COOKIE);
    const entriesMax = PAGE_ENTRIES;
    const next = await meta.readdir(context, dir, {
      cookie: after,
      entriesMax,
      withAttrs,
    });
    handle.page = { ...next, after, withAttrs, lseq: leases.lseqOf(dir) };
    return handle.page;
  }

  #dots(handle: DirHandle, page: ListedPage, cookie: number): DirEntryResult[] {
    const dot = (at: number, name: string, ino: Ino): DirEntryResult => ({
      cookie: at,
      name,
      ino,
      type: S_IFDIR,
      stat: undefined,
      entryValidMs: 0,
    });
    const dots: DirEntryResult[] = [];
    if (cookie < DOT_COOKIE) dots.push(dot(DOT_COOKIE, '.', handle.inode.ino));
    if (cookie < DOT_DOT_COOKIE) dots.push(dot(DOT_DOT_COOKIE, '..', page.parent));
    return dots;
  }
}
