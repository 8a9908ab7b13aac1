/** Calls of applications on one mount: from the caches of the kernel, else by a request. */
import type { Ino } from '../../../src/common/ids.ts';
import { type Look, modeKey, nameKey, pageKey, sizeKey } from './checker.ts';
import type { Cell, Kernel } from './kernel.ts';
import { type Attr, type Content, DIRS, type Entry, NAMES, PENDING } from './messages.ts';
import type { Answer } from './upcalls.ts';
import type { World } from './world.ts';

export interface Descriptor {
  readonly ino: Ino;
  readonly fh: number;
  readonly write: boolean;
  closing: boolean;
  /** Calls under way: it is not closed before. */
  busy: number;
}

type Done = (outcome: string) => void;

export class Syscalls {
  readonly descriptors: Descriptor[] = [];
  readonly #world: World;
  readonly #kernel: Kernel;
  readonly #who: string;
  /** Writers of a file wait for each other. */
  readonly #writing = new Map<Ino, (() => void)[]>();
  /** Renames hold the locks of their directories; who waits for one of them. */
  readonly #renaming = new Map<Ino, number>();
  #waitingForRenames: (() => void)[] = [];

  constructor(world: World, kernel: Kernel) {
    this.#world = world;
    this.#kernel = kernel;
    this.#who = kernel.mount.name;
  }

  stat(dir: Ino, name: number, done: Done): void {
    this.#resolve(dir, name, ({ ino }) => {
      if (ino === 0) done('ENOENT');
      else this.#attr(ino, done);
    });
  }

  statDirectory(dir: Ino, done: Done): void {
    this.#attr(dir, done);
  }

  open(dir: Ino, name: number, write: boolean, done: Done): void {
    this.#resolve(dir, name, ({ ino }) => {
      if (ino === 0) {
        done('ENOENT');
        return;
      }
      this.#kernel.send({ kind: 'open', ino, write }, ({ error, fh, keepCache }) => {
        if (error !== undefined || fh === undefined) {
          done(error ?? 'EIO');
          return;
        }
        if (keepCache !== true) this.#kernel.forgetData(ino, () => {});
        this.descriptors.push({ ino, fh, write, closing: false, busy: 0 });
        done('done');
      });
    });
  }

  create(dir: Ino, name: number, done: Done): void {
    if (this.#waitsForRename(dir, () => this.create(dir, name, done))) return;
    const epoch = this.#kernel.epoch;
    this.#kernel.send({ kind: 'make', dir, name }, (answer) => {
      this.#changed(answer, [dir]);
      const { ino, fh, entry } = answer;
      if (ino === undefined || fh === undefined || entry === undefined) {
        done(answer.error ?? 'EIO');
        return;
      }
      this.#kernel.keepEntry(dir, name, entry, answer.entryMs ?? 0, epoch);
      this.descriptors.push({ ino, fh, write: true, closing: false, busy: 0 });
      done('done');
    });
  }

  unlink(dir: Ino, name: number, done: Done): void {
    this.#resolve(dir, name, ({ ino }) => {
      if (ino === 0) {
        done('ENOENT');
        return;
      }
      this.#kernel.send({ kind: 'remove', dir, name, expects: ino }, (answer) => {
        this.#changed(answer, [dir], ino);
        done(answer.error ?? 'done');
      });
    });
  }

  rename(from: [Ino, number], to: [Ino, number], done: Done): void {
    this.#resolve(from[0], from[1], ({ ino }) => {
      this.#resolve(to[0], to[1], ({ ino: expects }) => {
        if (ino === 0 || ino === expects) {
          done('ENOENT');
          return;
        }
        const [dir, name] = from;
        const [newDir, newName] = to;
        const upcall = { kind: 'rename', dir, name, newDir, newName, expects } as const;
        this.#renames([dir, newDir], 1);
        this.#kernel.send(upcall, (answer) => {
          const taken = this.#kernel.takeEntry(dir, name);
          this.#changed(answer, [dir, newDir], expects);
          const made = answer.names?.find((at) => at.dir === newDir && at.name === newName);
          if (answer.error === undefined && taken !== undefined && made !== undefined) {
            this.#kernel.putEntry(newDir, newName, made.entry, taken);
          }
          this.#renames([dir, newDir], -1);
          done(answer.error ?? 'done');
        });
      });
    });
  }

  link(from: [Ino, number], to: [Ino, number], done: Done): void {
    this.#resolve(from[0], from[1], ({ ino }) => {
      if (ino === 0) {
        done('ENOENT');
        return;
      }
      const [newDir, newName] = to;
      this.#kernel.send({ kind: 'link', ino, newDir, newName }, (answer) => {
        this.#changed(answer, [newDir], ino);
        done(answer.error ?? 'done');
      });
    });
  }

  chmod(dir: Ino, name: number, done: Done): void {
    this.#resolve(dir, name, ({ ino }) => {
      if (ino === 0) {
        done('ENOENT');
        return;
      }
      this.#kernel.send({ kind: 'setattr', ino }, ({ error, attr, attrMs }) => {
        this.#kernel.forgetAttr(ino);
        if (attr !== undefined) {
          this.#kernel.keepAttr(ino, attr, attrMs ?? 0, this.#kernel.attrVersion(ino));
          this.#world.checker.returned(modeKey(ino), attr.mode);
        }
        done(error ?? 'done');
      });
    });
  }

  list(dir: Ino, done: Done): void {
    if (this.#waitsForRename(dir, () => this.list(dir, done))) return;
    const looks = Array.from({ length: NAMES }, (_, name) => {
      return this.#world.checker.begin(nameKey(dir, name));
    });
    const { epoch } = this.#kernel;
    this.#kernel.send({ kind: 'readdir', dir }, ({ names, entryMs }) => {
      for (const { name, entry } of names ?? []) {
        const look = looks[name];
        if (look !== undefined) this.#world.checker.end(look, entry.version, this.#who);
        this.#kernel.keepEntry(dir, name, entry, entryMs ?? 0, epoch);
      }
      done('done');
    });
  }

  read({ ino, fh }: Descriptor, page: number, done: Done): void {
    const look = this.#world.checker.begin(pageKey(ino, page));
    this.#page(ino, fh, page, (content, error) => {
      if (content === undefined) done(error ?? 'EIO');
      else {
        this.#look(look, content);
        done('done');
      }
    });
  }

  /** Past the page cache, and so without a page that is held. */
  readDirect({ ino, fh }: Descriptor, page: number, done: Done): void {
    const look = this.#world.checker.begin(pageKey(ino, page));
    const ask = (): void => {
      this.#kernel.send({ kind: 'read', ino, page, fh }, ({ error, content }) => {
        if (content !== undefined) this.#look(look, content);
        done(error ?? 'done');
      });
    };
    const cell = this.#kernel.cells(ino)[page];
    if (cell?.isLocked === true && cell.isUptodate) {
      // Stores are on their way.
      cell.waiters.push(() =>
        this.readDirect({ ino, fh, write: false, closing: false, busy: 1 }, page, done),
      );
    } else if (cell?.dirtyBy === undefined || cell.isLocked) ask();
    else this.#kernel.writeBack(ino, page, cell, ask);
  }

  write(
    { ino, fh }: Descriptor,
    page: number,
    mode: 'full' | 'partial' | 'direct',
    done: Done,
  ): void {
    this.#lock(ino, () => this.#write(ino, fh, page, mode, done));
  }

  #write(
    ino: Ino,
    fh: number,
    page: number,
    mode: 'full' | 'partial' | 'direct',
    done: Done,
  ): void {
    const kernel = this.#kernel;
    const known = kernel.cells(ino)[page];
    if (known?.isLocked === true) {
      known.waiters.push(() => this.#write(ino, fh, page, mode, done));
      return;
    }
    if (known?.dirtyBy !== undefined) {
      kernel.writeBack(ino, page, known, () => this.#write(ino, fh, page, mode, done));
      return;
    }
    const isDirect = mode === 'direct';
    // Before the request, and not once more: it may be read again meanwhile.
    if (isDirect && known !== undefined) kernel.remove(ino, page, known);
    const content: Content = { version: PENDING };
    const cell = isDirect
      ? undefined
      : (known ?? kernel.add(ino, page, content, mode === 'partial'));
    if (cell !== undefined) cell.content = content;
    if (known !== undefined && cell !== undefined) this.#world.tally.count('K14 seen early');
    const isHeld = cell?.isLocked === true;
    const upcall = { kind: 'write', ino, page, content, fh, isDirect, isStore: false } as const;
    kernel.send(upcall, ({ error, size }) => {
      kernel.forgetAttr(ino);
      if (cell !== undefined && (isHeld || (error !== undefined && cell.content === content))) {
        kernel.remove(ino, page, cell);
      }
      if (error === undefined) {
        this.#world.checker.returned(pageKey(ino, page), content.version);
        this.#world.checker.returned(sizeKey(ino), size ?? 0);
      }
      this.#unlock(ino);
      done(error ?? 'done');
    });
  }

  /** A store through a shared mapping: complete at once when the page is there. */
  store(descriptor: Descriptor, page: number, done: Done): void {
    const { ino, fh, closing } = descriptor;
    if (closing) {
      done('closed');
      return;
    }
    const cell = this.#kernel.cells(ino)[page];
    if (cell?.isLocked === true) {
      cell.waiters.push(() => this.store(descriptor, page, done));
      return;
    }
    if (cell === undefined) {
      this.#page(ino, fh, page, (content, error) => {
        const faulted = this.#kernel.cells(ino)[page];
        if (content === undefined || faulted === undefined) done(error ?? 'EIO');
        else this.#store(descriptor, page, faulted, done);
      });
      return;
    }
    this.#store(descriptor, page, cell, done);
  }

  /** The fault that brought the page makes it writable before anybody can take it away. */
  #store({ ino, fh }: Descriptor, page: number, cell: Cell, done: Done): void {
    if (cell.content.version === PENDING || this.#writing.has(ino)) {
      done('a write is under way');
      return;
    }
    if (this.#kernel.mount.handles.get(fh) === undefined) {
      // A mapping of an evicted session: what is stored through it is lost with a word.
      done('EIO');
      return;
    }
    cell.content = { version: this.#world.checker.nextVersion() };
    cell.dirtyBy = fh;
    this.#world.checker.returned(pageKey(ino, page), cell.content.version);
    done('done');
  }

  close(descriptor: Descriptor, done: Done): void {
    const { ino, fh } = descriptor;
    const at = this.descriptors.indexOf(descriptor);
    if (at >= 0) this.descriptors.splice(at, 1);
    descriptor.closing = true;
    const cells = this.#kernel.cells(ino);
    const written = cells.find((cell) => cell?.isLocked === true && cell.isUptodate);
    if (written !== undefined) {
      written.waiters.push(() => this.close(descriptor, done));
      return;
    }
    const page = cells.findIndex((cell) => cell?.dirtyBy !== undefined && !cell.isLocked);
    const cell = cells[page];
    if (cell !== undefined) {
      this.#kernel.writeBack(ino, page, cell, () => this.close(descriptor, done));
      return;
    }
    this.#kernel.send({ kind: 'flush', ino, fh }, ({ error }) => {
      this.#kernel.send({ kind: 'release', ino, fh }, () => done(error ?? 'done'));
    });
  }

  #resolve(dir: Ino, name: number, then: (entry: Entry) => void): void {
    if (this.#waitsForRename(dir, () => this.#resolve(dir, name, then))) return;
    const look = this.#world.checker.begin(nameKey(dir, name));
    const known = this.#kernel.dentry(dir, name);
    if (known !== undefined) {
      this.#world.tally.count('name from the kernel');
      this.#world.checker.end(look, known.version, this.#who);
      then(known);
      return;
    }
    const { epoch } = this.#kernel;
    const versions = new Map<Ino, number>();
    for (const ino of this.#world.server.tree.inodes.keys()) {
      versions.set(ino, this.#kernel.attrVersion(ino));
    }
    this.#kernel.send({ kind: 'lookup', dir, name }, (answer) => {
      const { entry, attr } = answer;
      if (entry === undefined) {
        then({ ino: 0, version: 0 });
        return;
      }
      this.#world.checker.end(look, entry.version, this.#who);
      this.#kernel.keepEntry(dir, name, entry, answer.entryMs ?? 0, epoch);
      if (entry.ino !== 0 && attr !== undefined) {
        const version = versions.get(entry.ino) ?? 0;
        this.#kernel.keepAttr(entry.ino, attr, answer.attrMs ?? 0, version);
      }
      then(entry);
    });
  }

  #attr(ino: Ino, done: Done): void {
    const { checker, tally } = this.#world;
    const looks = [checker.begin(modeKey(ino)), checker.begin(sizeKey(ino))] as const;
    const show = (attr: Attr): void => {
      checker.end(looks[0], attr.mode, this.#who);
      checker.end(looks[1], attr.size, this.#who);
      done('done');
    };
    const known = this.#kernel.attr(ino);
    if (known !== undefined) {
      tally.count('attributes from the kernel');
      show(known);
      return;
    }
    const version = this.#kernel.attrVersion(ino);
    this.#kernel.send({ kind: 'getattr', ino }, ({ error, attr, attrMs }) => {
      if (attr === undefined) {
        done(error ?? 'EIO');
        return;
      }
      this.#kernel.keepAttr(ino, attr, attrMs ?? 0, version);
      show(attr);
    });
  }

  #page(
    ino: Ino,
    fh: number,
    page: number,
    then: (content: Content | undefined, error?: string) => void,
  ): void {
    const kernel = this.#kernel;
    const cell = kernel.cells(ino)[page];
    if (cell?.isLocked === true) {
      cell.waiters.push(() => this.#page(ino, fh, page, then));
      return;
    }
    if (cell !== undefined) {
      this.#world.tally.count('page from the kernel');
      then(cell.content);
      return;
    }
    const added = kernel.add(ino, page, { version: PENDING }, true);
    kernel.send({ kind: 'read', ino, page, fh }, ({ error, content }) => {
      if (content === undefined) {
        kernel.remove(ino, page, added);
        then(undefined, error);
        return;
      }
      added.content = content;
      added.isUptodate = true;
      then(content);
      kernel.unlock(added);
    });
  }

  #look(look: Look, content: Content): void {
    // A write that is under way has no place in the order yet.
    if (content.version !== PENDING) this.#world.checker.end(look, content.version, this.#who);
  }

  /** A change of names has returned. */
  #changed({ names, error }: Answer, dirs: readonly Ino[], ino: Ino | 0 = 0): void {
    for (const { dir, name, entry } of names ?? []) {
      this.#kernel.dropEntry(dir, name);
      this.#world.checker.returned(nameKey(dir, name), entry.version);
      this.#world.checker.returned(sizeKey(dir), entry.version);
    }
    for (const dir of dirs) this.#kernel.forgetAttr(dir);
    if (ino !== 0) this.#kernel.forgetAttr(ino);
    if (error !== 'EEXIST' && error !== 'ENOENT') return;
    for (const dir of dirs) {
      if (DIRS.includes(dir)) {
        for (let name = 0; name < NAMES; name += 1) this.#kernel.dropEntry(dir, name);
      }
    }
  }

  #renames(dirs: readonly Ino[], by: 1 | -1): void {
    for (const dir of dirs) this.#renaming.set(dir, (this.#renaming.get(dir) ?? 0) + by);
    const waiting = this.#waitingForRenames;
    this.#waitingForRenames = [];
    for (const task of waiting) task();
  }

  /** @returns whether it waits until a rename in the directory is done */
  #waitsForRename(dir: Ino, task: () => void): boolean {
    if ((this.#renaming.get(dir) ?? 0) === 0) return false;
    this.#waitingForRenames.push(task);
    return true;
  }

  #lock(ino: Ino, task: () => void): void {
    const waiting = this.#writing.get(ino);
    if (waiting !== undefined) waiting.push(task);
    else {
      this.#writing.set(ino, []);
      task();
    }
  }

  #unlock(ino: Ino): void {
    const next = this.#writing.get(ino)?.shift();
    if (next === undefined) this.#writing.delete(ino);
    else next();
  }
}
