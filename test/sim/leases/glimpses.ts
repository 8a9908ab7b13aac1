/** Looks at files that somebody writes (C19), at the fake metaserver around the real Glimpses. */
import type { Glimpses, WriteLease } from '../../../src/metaserver/core/glimpses.ts';
import type { Op } from './messages.ts';
import type { Job, Server } from './server.ts';

export type Glimpsed = Extract<Op, { readonly op: 'glimpsed' }>;

export class Glimpsing {
  readonly #server: Server;
  #glimpses: Glimpses<Job>;

  constructor(server: Server) {
    this.#server = server;
    this.#glimpses = server.world.parts.glimpses();
  }

  /** Nobody who looked before is answered by this life of the server. */
  restart(): void {
    this.#glimpses = this.#server.world.parts.glimpses();
  }

  /** @returns whether somebody is asked */
  ask(job: Job): boolean {
    const { op } = job.request.body;
    if (op !== 'lookup' && op !== 'getattr') return false;
    const { sessions, table, world } = this.#server;
    const lease = table.glimpse(this.#server.ticket(job));
    const holder = lease && sessions.get(lease.sid);
    if (lease === undefined || holder?.stream === undefined) return false;
    const { mount, stream } = holder;
    const id = this.#glimpses.ask(job, lease, world.queue.nowMs);
    world.tally.count('C19 glimpse');
    world.log(() => `M asks s${lease.sid} for what it wrote to ${lease.ino}`);
    stream.down(() => mount.node.run(() => mount.link.glimpsed(stream, { id, ...lease })));
    return true;
  }

  answered(sid: WriteLease['sid'], { id, ino, lseq, size }: Glimpsed): void {
    const { table, world } = this.#server;
    const job = this.#glimpses.answered(id, { sid, ino, lseq });
    if (job === undefined) {
      world.tally.count('C19 late answer');
      return;
    }
    const held = table.glimpse(this.#server.ticket(job));
    const isHeld = held?.sid === sid && held.ino === ino && held.lseq === lseq;
    world.tally.count(size === undefined ? 'C19 nothing to tell' : 'C19 told');
    if (size !== undefined && isHeld) this.#server.run(job, size);
    else this.#server.wait(job);
  }

  sweep(): void {
    for (const job of this.#glimpses.overdue(this.#server.world.queue.nowMs)) {
      this.#server.world.tally.count('C19 no answer');
      this.#server.wait(job);
    }
  }

  drop(sid: WriteLease['sid']): void {
    this.#glimpses.drop((job) => job.session.sid === sid);
  }
}
