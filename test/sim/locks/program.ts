/** A program with files open: one call at a time, and what it thinks it has locked. */
import type { Lock, LockKind, LockRange, LockType } from '../../../src/common/core/locks.ts';
import { WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { FsError } from '../../../src/common/errno.ts';
import type { Ino } from '../../../src/common/ids.ts';
import type { RequestContext } from '../../../src/mount/driver/driver.ts';
import { Violation } from '../leases/checker.ts';
import type { Machine } from './machine.ts';
import type { SimMount } from './mount.ts';
import { type Cells, cellsOf, isHeld, nothing, shown } from './truth.ts';
import type { World } from './world.ts';

const KINDS: readonly LockKind[] = ['posix', 'flock'];

interface Call {
  readonly what: string;
  readonly mount: SimMount;
  readonly context: RequestContext;
}

/** How a lock is asked for. */
export interface Wanted extends LockRange {
  readonly ino: Ino;
  readonly kind: LockKind;
  readonly type: LockType;
  readonly waits: boolean;
}

export class Program {
  readonly pid: number;
  readonly machine: Machine;
  /** Open files, as owners of what is locked by flock(2). */
  readonly files = new Map<Ino, string>();
  readonly #world: World;
  /** By file and kind, what it thinks it has. */
  readonly #thinks = new Map<string, Cells>();
  /** Nobody said whether what it asked for in these was done. */
  readonly #unsure = new Set<Ino>();
  #call: Call | undefined;
  #isKilled = false;
  #hasEnded = false;

  constructor(world: World, machine: Machine) {
    this.#world = world;
    this.machine = machine;
    this.pid = world.nextPid();
  }

  get isBusy(): boolean {
    return this.#call !== undefined;
  }

  /** It waits for a lock that others have, as long as they please. */
  get waits(): boolean {
    const waitsFor = this.#call?.context.waitsFor;
    return typeof waitsFor === 'object' && 'lock' in waitsFor;
  }

  get doing(): string {
    return `pid ${this.pid}: ${this.#call?.what ?? 'nothing'}`;
  }

  isUnsure(ino: Ino): boolean {
    return this.#unsure.has(ino);
  }

  thinks(ino: Ino, kind: LockKind): Cells {
    const key = `${ino} ${kind}`;
    const known = this.#thinks.get(key) ?? nothing();
    this.#thinks.set(key, known);
    return known;
  }

  hasAny(kind?: LockKind): boolean {
    for (const [key, cells] of this.#thinks) {
      if ((kind === undefined || key.endsWith(kind)) && isHeld(cells)) return true;
    }
    return false;
  }

  /** It is gone, without a word. */
  end(): void {
    this.#hasEnded = true;
    this.#call = undefined;
    this.#world.truth.forget(this.pid);
  }

  open(ino: Ino): void {
    if (this.files.has(ino)) return;
    this.files.set(ino, String(this.#world.nextPid()));
    this.machine.mount.open(ino);
  }

  lock({ waits, ...wanted }: Wanted): void {
    const { ino, kind, type } = wanted;
    const owner = kind === 'flock' ? this.files.get(ino) : String(this.pid);
    if (owner === undefined) return;
    const lock: Lock = { ...wanted, owner, pid: this.pid };
    this.#world.truth.asks(this.machine.id, lock);
    const has = this.thinks(ino, kind);
    const before = [...has];
    for (const at of cellsOf(lock)) {
      if (has[at] === undefined || has[at] === type) continue;
      has[at] = kind === 'flock' ? undefined : 'read';
    }
    const what = `${waits ? 'wait' : 'try'} ${kind} ${type} ${ino} ${shownRange(lock)}`;
    this.#begin(
      what,
      (mount, context) => mount.setlk(context, lock, waits),
      (error) => this.#locked(lock, before, error),
    );
  }

  #locked(lock: Lock, before: Cells, error: FsError | undefined): void {
    const { truth } = this.#world;
    const { id, mount } = this.machine;
    const has = this.thinks(lock.ino, lock.kind);
    if (error === undefined) {
      for (const at of cellsOf(lock)) has[at] = lock.type;
      truth.has(id, mount.sid, lock);
    } else if (error.code === 'EIO' || lock.kind === 'flock') {
      for (const at of cellsOf(lock)) has[at] = undefined;
      truth.gone(id, lock);
      this.#unsure.add(lock.ino);
    } else {
      // What it has it keeps.
      const held = truth.cells(this.pid, lock.ino, lock.kind);
      for (const at of cellsOf(lock)) {
        if (before[at] !== 'write' || held[at] !== 'read') continue;
        has[at] = 'write';
        held[at] = 'write';
      }
    }
  }

  unlock(ino: Ino, kind: LockKind, range: LockRange): void {
    const owner = kind === 'flock' ? this.files.get(ino) : String(this.pid);
    if (owner === undefined) return;
    const place = { ino, kind, owner, pid: this.pid, ...range };
    this.#gone(ino, [kind], range);
    const what = `unlock ${kind} ${ino} ${shownRange(range)}`;
    this.#begin(what, (mount) => mount.unlock(place));
  }

  test(wanted: Wanted): void {
    const lock: Lock = { ...wanted, owner: String(this.pid), pid: this.pid };
    this.#begin(`test ${wanted.ino}`, async (mount, context) => {
      await mount.getlk(context, { ...lock, kind: 'posix' });
    });
  }

  /** Reads or writes what it has locked. */
  touch(ino: Ino): void {
    this.#begin(
      `touch ${ino}`,
      (mount) => mount.touch(ino),
      (error) => {
        if (error !== undefined) this.close(ino);
        else for (const kind of KINDS) this.#requireTruth(ino, kind);
      },
    );
  }

  /** It was let do that because of what it thinks it has. */
  #requireTruth(ino: Ino, kind: LockKind): void {
    const truth = this.#world.truth.cells(this.pid, ino, kind);
    const thinks = this.thinks(ino, kind);
    if (thinks.every((cell, at) => cell === undefined || truth[at] !== undefined)) return;
    const has = `${shown(thinks)}, and has ${shown(truth)}`;
    throw new Violation(`T3: pid ${this.pid} relies on ${kind} ${ino}: ${has}`);
  }

  close(ino: Ino): void {
    const flockOwner = this.files.get(ino);
    if (flockOwner === undefined) return;
    this.#gone(ino, KINDS, WHOLE_FILE);
    this.#begin(
      `close ${ino}`,
      (mount) => mount.close(ino, String(this.pid), flockOwner),
      () => {
        this.files.delete(ino);
        this.#unsure.delete(ino);
      },
    );
  }

  /** A signal that it handles. */
  interrupt(): void {
    const call = this.#call;
    if (call === undefined) return;
    call.mount.process.run(() => {
      if (this.#call !== call || this.#hasEnded) return;
      call.context.interrupted = true;
      call.context.interrupt?.();
    });
  }

  /** What it has open is closed once its call has ended. */
  kill(): void {
    this.#isKilled = true;
    if (this.isBusy) this.interrupt();
    else this.#exit();
  }

  #exit(): void {
    const [ino] = this.files.keys();
    if (ino === undefined) this.machine.replace(this);
    else this.close(ino);
  }

  #gone(ino: Ino, kinds: readonly LockKind[], range: LockRange): void {
    for (const kind of kinds) {
      const place = { ino, kind, owner: '', pid: this.pid, ...range };
      this.#world.truth.gone(this.machine.id, place);
      const has = this.thinks(ino, kind);
      for (const at of cellsOf(range)) has[at] = undefined;
    }
  }

  #begin(
    what: string,
    work: (mount: SimMount, context: RequestContext) => Promise<void>,
    then: (error: FsError | undefined) => void = () => undefined,
  ): void {
    const world = this.#world;
    const { mount } = this.machine;
    const call: Call = { what, mount, context: contextOf() };
    this.#call = call;
    world.tally.count(`call ${what.split(' ')[0]}`);
    world.log(() => `pid ${this.pid} of ${this.machine.id} begins ${what}`);
    const ended = (error: unknown): void => {
      if (this.#call !== call || this.#hasEnded) return;
      this.#call = undefined;
      world.log(() => `pid ${this.pid} ends ${what}: ${error ?? 'done'}`);
      if (error !== undefined && !(error instanceof FsError))
        throw new Violation(`a bug: ${error}`);
      world.tally.count(`outcome ${what.split(' ')[0]} ${error?.code ?? 'done'}`);
      then(error);
      if (this.#isKilled && !this.isBusy) this.#exit();
    };
    mount.process.run(() => {
      work(mount, call.context)
        .then(() => ended(undefined), ended)
        .catch((error: unknown) => world.bug(error));
    });
  }
}

function shownRange({ end, start }: LockRange): string {
  return end === WHOLE_FILE.end ? 'all' : `${start}-${end}`;
}

function contextOf(): RequestContext {
  return {
    ...{ uid: 0, gid: 0, connection: 1, unique: 2, acked: () => 0 },
    ...{ interrupt: undefined, interrupted: false, waitsFor: undefined },
  };
}
