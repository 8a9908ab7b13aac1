/** One simulated cluster: a metaserver, machines with mounts, homes, and what happens to them. */
import type { Ino } from '../../../src/common/ids.ts';
import { Random } from '../random.ts';
import type { Tally } from '../tally.ts';
import { act, pauseMs } from './actions.ts';
import { Checker, pageKey, Violation } from './checker.ts';
import { EventQueue } from './event-queue.ts';
import { Faults } from './faults.ts';
import { Home } from './home.ts';
import { isDirectory, PAGES } from './messages.ts';
import { Mount } from './mount.ts';
import { Network, type Stream } from './network.ts';
import type { Parts } from './parts.ts';
import { Server } from './server.ts';
import { Syscalls } from './syscalls.ts';

/** Once nothing is wrong any more, everything ends within this. */
const END_MS = 120_000;

export interface WorldOptions {
  readonly seed: number;
  readonly steps: number;
  readonly parts: Parts;
  readonly tally: Tally;
  /** So many of the last events are kept, to be shown. */
  readonly events?: number;
  /** Steps left out. */
  readonly without?: ReadonlySet<number>;
}

export interface Machine {
  readonly id: number;
  mount: Mount;
  syscalls: Syscalls;
  /** Calls of applications without an answer. */
  readonly calls: Set<string>;
}

export class World {
  readonly seed: number;
  readonly parts: Parts;
  readonly tally: Tally;
  readonly random: Random;
  readonly queue = new EventQueue();
  readonly network: Network;
  readonly checker: Checker;
  readonly server: Server;
  readonly homes: Home[];
  readonly machines: Machine[] = [];
  readonly faults = new Faults(this);
  readonly faultRate: number;
  readonly #options: WorldOptions;
  readonly #epochs = new Map<number, number>();
  readonly #shown: string[] = [];
  #nextCall = 1;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.parts = options.parts;
    this.tally = options.tally;
    this.random = new Random(options.seed);
    this.faultRate = this.random.some([0, 0.01, 0.03, 0.06]) ?? 0;
    this.checker = new Checker(options.tally);
    this.network = new Network(this.queue, this.random, this.tally);
    this.server = new Server(this);
    this.homes = [new Home(this, 8), new Home(this, 9)];
    for (const home of this.homes) this.#epochs.set(home.id, 1);
    const count = 2 + this.random.below(2);
    for (let id = 1; id <= count; id += 1) this.#addMachine(id);
  }

  /** @throws Violation at the first */
  run(): void {
    const { steps, without } = this.#options;
    for (const machine of this.machines) machine.mount.link.start();
    this.#everySecond();
    this.#everyKeepAlive();
    const tempo = this.random.some([1, 1, 1, 30]) ?? 1;
    let untilMs = 20;
    for (let step = 0; step < steps; step += 1) {
      this.#runUntil(untilMs);
      untilMs += pauseMs(new Random(this.seed * 7 + step * 13), tempo);
      if (without?.has(step) !== true) act(this, step);
    }
    this.#runUntil(untilMs);
    this.#finish();
  }

  get shown(): readonly string[] {
    return this.#shown;
  }

  log(line: () => string): void {
    const { events = 0 } = this.#options;
    if (events === 0) return;
    this.#shown.push(`${this.queue.nowMs.toFixed(2)} ${line()}`);
    if (this.#shown.length > events) this.#shown.shift();
  }

  // Applications.

  /** A call begins; what is returned takes its outcome. */
  begin(machine: Machine, what: string): (outcome: string) => void {
    const call = `${this.#nextCall++} ${what}`;
    const { mount } = machine;
    machine.calls.add(call);
    this.tally.count(`call ${what.split(' ')[0]}`);
    this.log(() => `${mount.name} begins ${call}`);
    return (outcome) => {
      if (machine.mount !== mount || !machine.calls.delete(call)) return;
      this.log(() => `${mount.name} ends ${call}: ${outcome}`);
      this.tally.count(`outcome ${outcome}`);
    };
  }

  crash(machine: Machine): void {
    machine.mount.node.isDead = true;
    machine.calls.clear();
    for (const { mount, stream } of this.server.sessions.values()) {
      if (mount === machine.mount && stream !== undefined) this.breakStream(stream);
    }
  }

  /** The node is started again. What was written and not published is in its journal. */
  boot(machine: Machine): void {
    const before = machine.mount;
    machine.mount = new Mount(this, machine.id, before.life + 1);
    if (before.publisher.inos().length > 0) {
      this.tally.count('C16 follows');
      machine.mount.link.follow(before);
      this.#loseStores(before);
      this.parts.adopts(machine.mount, before);
    }
    machine.syscalls = new Syscalls(this, machine.mount.kernel);
    machine.mount.link.start();
  }

  /** What was stored through mappings and never written to the process went with its mount. */
  #loseStores({ holder, kernel, link, publisher }: Mount): void {
    const { table, tree } = this.server;
    for (const ino of tree.inodes.keys()) {
      const kinds = [holder.kindOf(ino), link.sid && table.kindOf(link.sid, ino)];
      const mayStore = kinds.includes('exclusive') || publisher.has(ino);
      if (isDirectory(ino)) continue;
      for (let page = 0; page < PAGES; page += 1) {
        if (!mayStore && !kernel.hasStored(ino, page)) continue;
        const kept = publisher.page(ino, page)?.version ?? 0;
        const version = Math.max(kept, this.homeOf(ino).versionOf(ino, page));
        this.checker.lost(pageKey(ino, page), version);
      }
    }
  }

  #addMachine(id: number): void {
    const mount = new Mount(this, id, 1);
    const syscalls = new Syscalls(this, mount.kernel);
    this.machines.push({ id, mount, syscalls, calls: new Set() });
  }

  // The rest of the world.

  homeOf(ino: Ino): Home {
    const home = this.homes[ino % this.homes.length];
    if (home === undefined) throw new Error('no home');
    return home;
  }

  /** As the metaserver has given it. */
  knownEpoch(home: Home): number {
    return this.#epochs.get(home.id) ?? 0;
  }

  /** A new life of its group; every mount with a stream is told. */
  nextEpoch(home: Home): number {
    const epoch = this.knownEpoch(home) + 1;
    this.#epochs.set(home.id, epoch);
    for (const { mount, stream } of this.server.sessions.values()) {
      stream?.down(() =>
        mount.node.run(() => {
          mount.homeEpochs[home.id] = Math.max(mount.homeEpochs[home.id] ?? 0, epoch);
        }),
      );
    }
    return epoch;
  }

  /** Both ends notice, each in its time. */
  breakStream(stream: Stream): void {
    if (!stream.isOpen) return;
    stream.isOpen = false;
    for (const session of this.server.sessions.values()) {
      if (session.stream === stream) session.stream = undefined;
    }
    for (const { mount } of this.machines) {
      this.queue.after(20 * this.random.next(), () =>
        mount.node.run(() => mount.link.down(stream)),
      );
    }
  }

  #everySecond(): void {
    this.server.sweep();
    this.queue.after(1_000, () => this.#everySecond());
  }

  #everyKeepAlive(): void {
    for (const home of this.homes) home.keepAlive();
    this.queue.after(4_000, () => this.#everyKeepAlive());
  }

  // Checks.

  /** S2: who may write is alone. */
  checkHolders(): void {
    const { table, sessions, tree } = this.server;
    const live = [...sessions.values()].filter(({ ended }) => !ended);
    for (const ino of tree.inodes.keys()) {
      let holders = 0;
      let exclusive = 0;
      for (const { sid } of live) {
        const kind = table.kindOf(sid, ino);
        if (kind !== undefined) holders += 1;
        if (kind === 'exclusive') exclusive += 1;
      }
      const isWrong = exclusive > 0 && (holders > 1 || isDirectory(ino));
      if (isWrong) throw new Violation(`S2: ${ino} has ${exclusive} writers, ${holders} holders`);
    }
  }

  /** A session that is heard of is evicted: is there a reason outside of the protocol? */
  expectNoEviction(mount: Mount): void {
    const { open, endedMs } = this.faults;
    if (open > 0 || this.queue.nowMs < endedMs + 30_000) return;
    throw new Violation(`S5: ${mount.name} did not answer a recall, and nothing is wrong with it`);
  }

  #runUntil(timeMs: number): void {
    while (this.queue.nextMs <= timeMs) this.queue.step();
    this.queue.nowMs = Math.max(this.queue.nowMs, timeMs);
  }

  #finish(): void {
    this.faults.healAll();
    this.log(() => 'nothing is wrong any more');
    const untilMs = this.queue.nowMs + END_MS;
    while (this.queue.nextMs <= untilMs && this.machines.some(({ calls }) => calls.size > 0)) {
      this.queue.step();
    }
    for (const { mount, calls } of this.machines) {
      const [call] = calls;
      if (call !== undefined) throw new Violation(`S5: ${mount.name} never ends ${call}`);
    }
  }
}
