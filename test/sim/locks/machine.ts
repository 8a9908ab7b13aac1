/** A machine: programs, the process that serves their mount, and what outlives that. */
import { asNodeId, type NodeId } from '../../../src/common/ids.ts';
import { SimMount } from './mount.ts';
import { Program } from './program.ts';
import type { World } from './world.ts';

/** Which process may go on with the session of which (C16), as the write journal knows it. */
export class Journal {
  sid = 0;
  /** Something is unpublished. */
  readonly files = new Map<number, unknown>();
  #instances: number[] = [];

  asked(instance: number): void {
    this.#instances.push(instance);
  }

  welcomed(instance: number, sid: number): void {
    this.#instances = [instance];
    this.sid = sid;
  }

  follows(instance: number): readonly number[] {
    return this.files.size === 0 ? [] : this.#instances.filter((other) => other !== instance);
  }

  wrote(): void {
    this.files.set(1, 'unpublished');
  }

  published(): void {
    this.files.clear();
  }

  /** As a process finds it that begins. */
  opened(): void {
    if (this.files.size === 0) this.#instances = [];
  }
}

export class Machine {
  readonly id: number;
  readonly nodeId: NodeId;
  readonly journal = new Journal();
  mount: SimMount;
  programs: Program[];
  readonly #world: World;
  readonly #count: number;
  #lives = 1;

  constructor(world: World, id: number, programs: number) {
    this.#world = world;
    this.id = id;
    this.nodeId = asNodeId(`0${id}`.repeat(16));
    this.#count = programs;
    this.mount = new SimMount(world, this, id * 100 + this.#lives);
    this.programs = this.#started();
  }

  /** The process that serves the mount is gone, and with it every descriptor. */
  crash(hasLeft: boolean): void {
    const { truth } = this.#world;
    this.mount.process.isDead = true;
    this.#world.server.breakStreams(this.mount);
    truth.lost(this.id);
    for (const program of this.programs) program.end();
    if (hasLeft) this.journal.wrote();
  }

  boot(): void {
    this.#lives += 1;
    this.journal.opened();
    this.mount = new SimMount(this.#world, this, this.id * 100 + this.#lives);
    this.programs = this.#started();
    this.mount.start();
  }

  /** A program has ended, and another one begins. */
  replace(program: Program): void {
    program.end();
    this.programs = this.programs.map((each) => {
      return each === program ? new Program(this.#world, this) : each;
    });
  }

  #started(): Program[] {
    return Array.from({ length: this.#count }, () => new Program(this.#world, this));
  }
}
