/** One simulated cluster: a metaserver, machines with programs that lock, and what happens to them. */
import type { ServerFrame } from '../../../gen/meta.ts';
import type { FsError } from '../../../src/common/errno.ts';
import type { SessionId } from '../../../src/common/ids.ts';
import type { Operation } from '../../../src/common/rpc/session-client.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import type { Result } from '../../../src/metaserver/wire.ts';
import { Violation } from '../leases/checker.ts';
import { EventQueue } from '../leases/event-queue.ts';
import { Network } from '../leases/network.ts';
import { Random } from '../random.ts';
import type { Tally } from '../tally.ts';
import { act, FILES, MOODS, type Mood, pauseMs } from './actions.ts';
import { Faults } from './faults.ts';
import { finish } from './finish.ts';
import { Homes } from './homes.ts';
import { Machine } from './machine.ts';
import type { SimMount } from './mount.ts';
import type { Parts } from './parts.ts';
import { nobodyRuns, settled, simulateTimers } from './process.ts';
import { Server } from './server.ts';
import { Truth } from './truth.ts';
import { Turns } from './turns.ts';

/** A machine that is well is not evicted, once nothing has been wrong for so long. */
const CALM_MS = 30_000;

export interface WorldOptions {
  readonly seed: number;
  readonly steps: number;
  readonly parts: Parts;
  readonly tally: Tally;
  /** Nothing but this, and much of it. */
  readonly mood?: Mood | undefined;
  /** So many of the last events are kept, to be shown. */
  readonly events?: number;
  /** Steps left out. */
  readonly without?: ReadonlySet<number>;
}

export class World {
  readonly seed: number;
  readonly parts: Parts;
  readonly tally: Tally;
  readonly random: Random;
  readonly queue = new EventQueue();
  readonly network: Network;
  readonly truth: Truth;
  readonly server: Server;
  readonly machines: Machine[];
  readonly faults = new Faults(this);
  readonly faultRate: number;
  readonly mood: Mood;
  /** How many files there are. */
  readonly files: number;
  /** A request waits so long for a metaserver that is away. */
  readonly waitMs: number;
  readonly #options: WorldOptions;
  readonly #turns: Turns;
  readonly #shown: string[] = [];
  #failure: Error | undefined;
  #hasEntered = false;
  #pids = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.parts = options.parts;
    this.tally = options.tally;
    this.random = new Random(options.seed);
    const rate = this.random.pick([0, 0.02, 0.05, 0.1]);
    this.faultRate = options.mood === undefined ? rate : Math.max(rate, 0.05);
    const mood = this.random.pick(MOODS);
    this.mood = options.mood ?? mood;
    this.waitMs = this.random.some([3_000, 12_000, 30_000]) ?? 0;
    this.files = 1 + this.random.below(FILES.length);
    this.network = new Network(this.queue, this.random, this.tally);
    this.truth = new Truth(options.tally);
    this.#turns = new Turns(this);
    this.server = new Server(this, new Homes(this));
    const count = 2 + this.random.below(3);
    const programs = 1 + this.random.below(3);
    this.machines = Array.from({ length: count }, (_, at) => new Machine(this, at + 1, programs));
  }

  /** @throws Violation at the first */
  async run(): Promise<void> {
    const { steps, without } = this.#options;
    const endTimers = simulateTimers();
    try {
      for (const { mount } of this.machines) mount.start();
      this.#everySecond();
      const tempo = this.random.some([1, 1, 10]) ?? 1;
      await this.runUntil(20);
      let untilMs = 20;
      for (let step = 0; step < steps; step += 1) {
        untilMs += pauseMs(new Random(this.seed * 7 + step * 13), tempo);
        await this.runUntil(untilMs);
        if (without?.has(step) !== true) act(this, step);
        await this.#settle();
      }
      await finish(this);
    } finally {
      nobodyRuns();
      endTimers();
    }
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

  nextPid(): number {
    this.#pids += 1;
    return this.#pids;
  }

  /** Code of a process runs in this turn. */
  entered(): void {
    this.#hasEntered = true;
  }

  /** What must not happen has happened where nobody looks. */
  bug(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** The process that serves a mount has given up, and is started again. */
  restart(machine: Machine): void {
    this.tally.count('mount starts anew');
    const { mount } = machine;
    this.queue.after(0, () => {
      if (machine.mount !== mount || mount.process.isDead) return;
      machine.crash(false);
      machine.boot();
    });
  }

  /** A session that is heard of is evicted: is there a reason outside of the protocol? */
  expectNoEviction(sid: SessionId): void {
    const { endedMs, open } = this.faults;
    if (open > 0 || this.queue.nowMs < endedMs + CALM_MS) return;
    throw new Violation(`T4: s${sid} did not answer, and nothing is wrong with it`);
  }

  // What the metaserver hears and says.

  asked(session: Session, op: Operation): void {
    this.log(() => `M runs ${shownOp(op)} of s${session.sid}`);
    if (op.$case === 'lock' && op.value.again) this.tally.count('L5 said again');
    if (op.$case === 'returnLocks') {
      this.tally.count(op.value.delegation === 0n ? 'L6 returned unknown' : 'L6 returned');
    }
  }

  answered(session: Session, op: Operation, outcome: Result | FsError): void {
    this.#turns.answered(session, op, outcome);
    if (op.$case !== 'lock') return;
    if ('code' in outcome) this.tally.count(`M lock ${outcome.code}`);
    else if (outcome.$case === 'lock') {
      const { delegation, waits } = outcome.value;
      this.log(() => `M answers s${session.sid}: waits ${waits}, delegation ${delegation}`);
      this.tally.count(waits ? 'L4 waits' : 'M lock done');
      if (delegation !== 0n) this.tally.count('L6 delegated');
    }
  }

  told(mount: SimMount, body: NonNullable<ServerFrame['body']>): void {
    if (body.$case !== 'reply') this.tally.count(`told ${body.$case}`);
    this.log(() => `M tells ${mount.machine.id} ${body.$case} ${shownBody(body)}`);
    if (body.$case === 'lockGranted') this.#turns.granted(mount.sid, body.value.ticket);
  }

  // Time.

  async runUntil(timeMs: number, isOver: () => boolean = () => false): Promise<void> {
    while (this.queue.nextMs <= timeMs && !isOver()) {
      this.queue.step();
      await this.#settle();
    }
    if (!isOver()) this.queue.nowMs = Math.max(this.queue.nowMs, timeMs);
  }

  /** What was begun in this turn goes on as far as it can. */
  async #settle(): Promise<void> {
    if (this.#hasEntered) {
      this.#hasEntered = false;
      await settled();
      nobodyRuns();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #everySecond(): void {
    this.server.sweep();
    this.queue.after(1_000, () => this.#everySecond());
  }
}

function shownOp(op: Operation): string {
  return JSON.stringify(op.value, (_, value: unknown) => {
    return typeof value === 'bigint' ? Number(value) : value;
  }).replace(/^/, `${op.$case} `);
}

function shownBody(body: NonNullable<ServerFrame['body']>): string {
  if (body.$case === 'lockGranted') return String(body.value.ticket);
  if (body.$case === 'lockRecall') return String(body.value.ino);
  if (body.$case === 'welcome') return `s${body.value.sid} of life ${body.value.serverEpoch}`;
  return body.$case === 'reply' ? `${body.value.id} ${body.value.errno}` : '';
}
