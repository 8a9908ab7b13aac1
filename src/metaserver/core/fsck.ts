/**
 * Checks that the records of a namespace agree with each other (docs/FORMAT.md, what always holds).
 * It is told the records by family, in the order of the methods below, and says in the end what is
 * wrong.
 */
import {
  isDirectory,
  isRegular,
  isSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from '../../common/attr.ts';
import type {
  FsckCode,
  FsckFinding,
  FsckTotals,
  NamespaceReport,
} from '../../common/core/fsck-report.ts';
import { asIno, type GroupId, type Ino, ROOT_INO, type SessionId } from '../../common/ids.ts';
import { ABSENT, InodeColumns, UNREADABLE } from './fsck-inodes.ts';
import { type DirSlot, type Entry, FIRST_SEQ, type Inode } from './records.ts';

/** A reply stays below 256 KiB with the longest names. */
const LISTED_MAX = 200;
const KNOWN_TYPES = [S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK];
const TYPES: ReadonlySet<number> = new Set(KNOWN_TYPES);
const TYPE_SHIFT = 12;
const ON_THE_WAY = 1;
const ARRIVED = 2;

/** As they are stored. */
export interface StoredCounters {
  readonly inodes: number;
  readonly reclaimPending: number;
  /** Inos and sids from here on have not been handed out. */
  readonly nextIno: number;
  readonly nextSid: number;
}

export interface NameRef {
  readonly dir: Ino;
  readonly name: string;
}

export class NamespaceCheck {
  readonly #counters: StoredCounters;
  readonly #columns = new InodeColumns();
  readonly #groups = new Set<GroupId>();
  readonly #live = new Set<SessionId>();
  readonly #findings: FsckFinding<string>[] = [];
  readonly #counts = new Map<FsckCode, number>();
  readonly #totals = { inodes: 0, names: 0, openers: 0, reclaimPending: 0 };

  constructor(counters: StoredCounters) {
    this.#counters = counters;
  }

  get totals(): FsckTotals {
    return { ...this.#totals };
  }

  /** A record of another kind than inodes that cannot be decoded. */
  unreadable(what: string, ino = 0): void {
    this.#found('unreadable', ino, `${what} cannot be read`);
  }

  group(rg: GroupId): void {
    this.#groups.add(rg);
  }

  session(sid: SessionId, isLive: boolean): void {
    if (isLive) this.#live.add(sid);
    if (sid < this.#counters.nextSid) return;
    this.#found('wrong-counter', 0, `session ${sid} may be handed out once more`);
  }

  /** @param inode undefined: it cannot be decoded */
  inode(ino: Ino, inode: Inode | undefined): void {
    const columns = this.#columns;
    this.#totals.inodes += 1;
    columns.set(ino, 'type', inode === undefined ? UNREADABLE : typeOf(inode.mode));
    if (ino >= this.#counters.nextIno) {
      this.#found('wrong-counter', ino, 'its number may be handed out once more');
    }
    if (inode === undefined) {
      this.unreadable('its record', ino);
      return;
    }
    if (!TYPES.has(inode.mode & S_IFMT)) {
      this.#found('wrong-type', ino, `its mode ${inode.mode.toString(8)} has no known type`);
    }
    if (isRegular(inode.mode) && !this.#groups.has(inode.rg)) {
      this.#found('no-group', ino, `its bytes are in group ${inode.rg}, which does not exist`);
    }
    columns.set(ino, 'nlink', inode.nlink);
    columns.set(ino, 'openers', inode.openers);
    if (!isDirectory(inode.mode)) return;
    columns.set(ino, 'parent', inode.parent);
    columns.set(ino, 'entries', inode.entries);
    columns.set(ino, 'nextSeq', inode.nextSeq);
  }

  /**
   * @param entry undefined: it cannot be decoded
   * @param slot what stands at its place in the listing
   */
  entry(ref: NameRef, entry: Entry | undefined, slot: DirSlot | undefined): void {
    const columns = this.#columns;
    const { dir, name } = ref;
    this.#totals.names += 1;
    columns.add(dir, 'entriesFound');
    this.#holder(ref);
    if (entry === undefined) {
      this.#found('unreadable', 0, 'the name cannot be read', ref);
      return;
    }
    const { ino, type, seq } = entry;
    columns.add(ino, 'names');
    if (isDirectory(type)) columns.add(dir, 'subdirs');
    const wrong = slot === undefined || slot.name !== name || slot.ino !== ino;
    if (wrong || slot.type !== type) {
      this.#found('wrong-slot', ino, `the listing does not have it at place ${seq}`, ref);
    }
    if (seq < FIRST_SEQ || (this.#isDirectory(dir) && seq >= columns.get(dir, 'nextSeq'))) {
      this.#found('wrong-slot', ino, `place ${seq} of it may be given to another name`, ref);
    }
    this.#named(ref, ino, type);
  }

  /** @param hasName whether the name says that it stands here; undefined: it cannot be decoded */
  slot(dir: Ino, seq: number, slot: DirSlot | undefined, entry: Entry | undefined): void {
    if (slot === undefined) this.unreadable(`place ${seq} of its listing`, dir);
    if (slot === undefined || entry?.seq === seq) return;
    const ref = { dir, name: slot.name };
    const message = `place ${seq} of the listing has it, and there is no such name`;
    this.#found('wrong-slot', slot.ino, message, ref);
  }

  opener(ino: Ino, sid: SessionId): void {
    const columns = this.#columns;
    this.#totals.openers += 1;
    columns.add(ino, 'openersFound');
    if (columns.get(ino, 'type') === ABSENT) {
      this.#found('missing-inode', ino, `session ${sid} has it open, and it is not there`);
    } else if (!this.#live.has(sid)) {
      this.#found('stray-opener', ino, `it is kept for session ${sid}, which has ended`);
    } else if (columns.get(ino, 'nlink') > 0) {
      this.#found('stray-opener', ino, `session ${sid} keeps it, and it has names`);
    }
  }

  /** Of a symbolic link. */
  target(ino: Ino): void {
    this.#columns.set(ino, 'target', 1);
    if (this.#columns.get(ino, 'type') !== ABSENT) return;
    this.#found('missing-inode', ino, 'it has a target, and is not there');
  }

  /** @param rg undefined: it cannot be decoded */
  reclaim(ino: Ino, rg: GroupId | undefined): void {
    this.#totals.reclaimPending += 1;
    if (rg === undefined) this.unreadable('its place in the reclaim queue', ino);
    else if (this.#columns.get(ino, 'type') !== ABSENT) {
      this.#found('reclaimed-alive', ino, 'its bytes are to be deleted, and it is there');
    } else if (!this.#groups.has(rg)) {
      this.#found(
        'no-group',
        ino,
        `its bytes are to be deleted in group ${rg}, which is not there`,
      );
    }
  }

  reply(sid: SessionId): void {
    if (this.#live.has(sid)) return;
    this.#found('stray-reply', 0, `a reply is kept for session ${sid}, which has ended`);
  }

  /** What only all records together show; a piece of the work with each turn. */
  *conclude(): Generator<void, NamespaceReport<string>> {
    if (this.#columns.get(ROOT_INO, 'type') === ABSENT) {
      this.#found('missing-inode', ROOT_INO, 'there is no root directory');
    }
    for (const inos of this.#columns.pieces()) {
      for (const ino of inos) this.#concludeInode(ino);
      yield;
    }
    const { inodes, reclaimPending } = this.#totals;
    this.#counter('inodes', this.#counters.inodes, inodes);
    this.#counter('inodes to be reclaimed', this.#counters.reclaimPending, reclaimPending);
    const counts = Object.fromEntries(this.#counts);
    return { ...this.#totals, counts, findings: this.#findings };
  }

  #concludeInode(ino: Ino): void {
    const columns = this.#columns;
    if (columns.get(ino, 'type') === UNREADABLE) return;
    const mode = columns.get(ino, 'type') << TYPE_SHIFT;
    const nlink = columns.get(ino, 'nlink');
    const openers = columns.get(ino, 'openersFound');
    if (isDirectory(mode)) this.#concludeDirectory(ino, nlink);
    else this.#links(ino, nlink, columns.get(ino, 'names'));
    if (isSymlink(mode) !== (columns.get(ino, 'target') === 1)) {
      const message = isSymlink(mode) ? 'the link has no target' : 'it has the target of a link';
      this.#found('wrong-target', ino, message);
    }
    const told = columns.get(ino, 'openers');
    if (told !== openers) {
      this.#found('wrong-openers', ino, `it says ${told} openers, there are ${openers}`);
    }
    if (nlink === 0 && openers === 0) {
      this.#found('orphan', ino, 'it has neither a name nor anybody who has it open');
    }
  }

  #concludeDirectory(ino: Ino, nlink: number): void {
    const columns = this.#columns;
    const names = columns.get(ino, 'names');
    const expected = ino === ROOT_INO || nlink === 0 ? 0 : 1;
    if (names < expected) this.#found('unreachable', ino, 'the directory has no name');
    if (names > expected) {
      this.#found('wrong-links', ino, `the directory has ${names} names instead of ${expected}`);
    }
    if (ino === ROOT_INO && columns.get(ino, 'parent') !== ROOT_INO) {
      this.#found('wrong-parent', ino, 'the root is not its own parent');
    }
    const links = nlink === 0 ? 0 : 2 + columns.get(ino, 'subdirs');
    if (nlink > 0) this.#links(ino, nlink, links);
    const [told, found] = [columns.get(ino, 'entries'), columns.get(ino, 'entriesFound')];
    if (told !== found) {
      this.#found('wrong-entries', ino, `the directory says ${told} entries, there are ${found}`);
    }
    if (nlink > 0 && this.#isInCircle(ino)) {
      this.#found('unreachable', ino, 'the directory lies within itself');
    }
  }

  #links(ino: Ino, nlink: number, found: number): void {
    if (nlink === found) return;
    this.#found('wrong-links', ino, `it says ${nlink} links, there are ${found}`);
  }

  /** Of a circle one directory is told, the first that is met. */
  #isInCircle(start: Ino): boolean {
    const columns = this.#columns;
    const way: Ino[] = [];
    let at = start;
    while (at !== ROOT_INO && columns.get(at, 'walked') === 0 && columns.get(at, 'names') > 0) {
      columns.set(at, 'walked', ON_THE_WAY);
      way.push(at);
      at = asIno(columns.get(at, 'namedIn'));
    }
    const isCircle = columns.get(at, 'walked') === ON_THE_WAY;
    for (const ino of way) columns.set(ino, 'walked', ARRIVED);
    return isCircle;
  }

  /** The directory of a name has to be one. */
  #holder(ref: NameRef): void {
    const type = this.#columns.get(ref.dir, 'type');
    if (type === UNREADABLE) return;
    if (type === ABSENT) this.#found('no-directory', 0, 'the directory is not there', ref);
    else if (!this.#isDirectory(ref.dir)) {
      this.#found('no-directory', 0, 'what has the name is no directory', ref);
    } else if (this.#columns.get(ref.dir, 'nlink') === 0) {
      this.#found('no-directory', 0, 'the directory was removed', ref);
    }
  }

  /** The inode of a name has to be there, of its type, and where the name is. */
  #named(ref: NameRef, ino: Ino, type: number): void {
    const columns = this.#columns;
    const stored = columns.get(ino, 'type');
    if (stored === ABSENT) {
      this.#found('missing-inode', ino, 'it is not there', ref);
      return;
    }
    columns.set(ino, 'namedIn', ref.dir);
    if (stored === UNREADABLE) return;
    if (stored << TYPE_SHIFT !== type) {
      this.#found('wrong-type', ino, 'the name says that it is something else', ref);
    } else if (isDirectory(type) && columns.get(ino, 'parent') !== ref.dir) {
      const message = `the directory says that it is in directory ${columns.get(ino, 'parent')}`;
      this.#found('wrong-parent', ino, message, ref);
    }
  }

  #isDirectory(ino: Ino): boolean {
    return this.#columns.get(ino, 'type') === S_IFDIR >> TYPE_SHIFT;
  }

  #counter(what: string, told: number, counted: number): void {
    if (told === counted) return;
    this.#found('wrong-counter', 0, `the database says ${told} ${what}, there are ${counted}`);
  }

  #found(code: FsckCode, ino: number, message: string, ref?: NameRef): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    if (this.#findings.length >= LISTED_MAX) return;
    this.#findings.push({ code, ino, dir: ref?.dir ?? 0, name: ref?.name ?? '', message });
  }
}

/** As it is kept of an inode. */
function typeOf(mode: number): number {
  return TYPES.has(mode & S_IFMT) ? (mode & S_IFMT) >> TYPE_SHIFT : UNREADABLE;
}
