/** Links that delay and stall, and ordered streams over them that break. */
import type { Random } from '../random.ts';
import type { Tally } from '../tally.ts';
import type { EventQueue } from './event-queue.ts';

interface Held {
  readonly stream: Stream;
  readonly from: number;
  readonly to: number;
  readonly task: () => void;
}

export class Network {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly tally: Tally;
  readonly #blocked = new Set<number>();
  #held: Held[] = [];

  constructor(queue: EventQueue, random: Random, tally: Tally) {
    this.queue = queue;
    this.random = random;
    this.tally = tally;
  }

  delay(): number {
    const roll = this.random.next();
    if (roll < 0.9) return 0.05 + roll;
    return roll < 0.98 ? 1 + 20 * (roll - 0.9) : 50 * (roll - 0.9);
  }

  isBlocked(from: number, to: number): boolean {
    return this.#blocked.has(from * 16 + to);
  }

  block(from: number, to: number): void {
    this.#blocked.add(from * 16 + to);
  }

  heal(from: number, to: number): void {
    this.#blocked.delete(from * 16 + to);
    const held = this.#held;
    this.#held = [];
    for (const frame of held) this.arrive(frame.stream, frame.from, frame.to, frame.task);
  }

  /** A message on its own: lost where nothing comes through. */
  send(from: number, to: number, task: () => void): void {
    this.queue.after(this.delay(), () => {
      if (this.isBlocked(from, to)) this.tally.fault('message lost');
      else task();
    });
  }

  arrive(stream: Stream, from: number, to: number, task: () => void): void {
    if (!stream.isOpen) return;
    const stalled = this.#held.some((held) => held.stream === stream && held.from === from);
    if (stalled || this.isBlocked(from, to)) {
      this.tally.fault('frame stalled');
      this.#held.push({ stream, from, to, task });
    } else task();
  }
}

/** Frames arrive in order, or not at all. */
export class Stream {
  isOpen = true;
  readonly #network: Network;
  readonly #client: number;
  readonly #server: number;
  #upMs = 0;
  #downMs = 0;

  constructor(network: Network, client: number, server: number) {
    this.#network = network;
    this.#client = client;
    this.#server = server;
  }

  up(task: () => void): void {
    const { queue } = this.#network;
    this.#upMs = Math.max(this.#upMs, queue.nowMs + this.#network.delay());
    queue.at(this.#upMs, () => this.#network.arrive(this, this.#client, this.#server, task));
  }

  down(task: () => void): void {
    const { queue } = this.#network;
    this.#downMs = Math.max(this.#downMs, queue.nowMs + this.#network.delay());
    queue.at(this.#downMs, () => this.#network.arrive(this, this.#server, this.#client, task));
  }
}
