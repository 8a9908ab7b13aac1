/** How a session ends at the fake metaserver: rules C6 and C14, in this order. */
import type { Ino } from '../../../src/common/ids.ts';
import { pageKey, sizeKey, Violation } from './checker.ts';
import type { Home } from './home.ts';
import { isDirectory, PAGES } from './messages.ts';
import type { Server } from './server.ts';
import type { Session } from './sessions.ts';
import type { World } from './world.ts';

export class Evictions {
  readonly #world: World;
  readonly #server: Server;

  constructor(world: World, server: Server) {
    this.#world = world;
    this.#server = server;
  }

  begin(session: Session, why: string): void {
    if (session.evicting || session.ended) return;
    const { world } = this;
    world.log(() => `M evicts s${session.sid}: ${why}`);
    world.tally.count(`C6 evicted: ${why}`);
    session.evicting = true;
    session.sepoch += 1;
    if (session.stream !== undefined) world.breakStream(session.stream);
    if (world.parts.fencesHomes) {
      for (const home of this.#written(session)) session.fences.add(home.id);
    }
    this.sweep();
  }

  /** Every home is to refuse it. */
  everywhere(session: Session): void {
    if (!this.world.parts.fencesHomes) return;
    for (const home of this.world.homes) session.fences.add(home.id);
  }

  sweep(): void {
    for (const session of this.#server.sessions.values()) {
      if (!session.evicting || session.ended) continue;
      for (const home of this.world.homes) {
        if (session.fences.has(home.id)) this.#fence(session, home);
      }
      this.#finish(session);
    }
  }

  get world(): World {
    return this.#world;
  }

  /** Homes it may have written to. */
  #written({ sid }: Session): readonly Home[] {
    const { table } = this.#server;
    if (table.unsure.has(sid)) return this.world.homes;
    const written = new Set(table.exclusives(sid).map((ino) => this.world.homeOf(ino)));
    return [...written];
  }

  #fence(session: Session, home: Home): void {
    const { world } = this;
    if (home.isGone) {
      world.tally.count('C14 home is gone itself');
      home.needsEpoch = true;
      session.fenced.set(home.id, home.epoch);
      session.fences.delete(home.id);
      return;
    }
    const { epoch } = home;
    world.network.send(0, home.id, () => {
      if (!home.isUp || home.epoch !== epoch) return;
      home.fences.fence(session.sid, session.sepoch);
      world.tally.count('C14 fence');
      world.network.send(home.id, 0, () => {
        if (!this.#server.isUp || home.epoch !== epoch) return;
        session.fences.delete(home.id);
        session.fenced.set(home.id, epoch);
        this.#finish(session);
      });
    });
  }

  #finish(session: Session): void {
    if (session.ended || session.fences.size > 0 || !this.#server.isUp) return;
    const untilMs = session.heardMs + this.world.parts.serverLeaseMs;
    if (!session.confirmed && this.world.queue.nowMs < untilMs) return;
    this.world.log(() => `M drops s${session.sid}`);
    this.#lose(session);
    this.#server.drop(session);
  }

  /** What only this session knew is lost. */
  #lose({ sid, sepoch, fenced }: Session): void {
    const { table, tree } = this.#server;
    const inos: Iterable<Ino> = table.unsure.has(sid) ? tree.inodes.keys() : table.exclusives(sid);
    for (const ino of inos) {
      if (isDirectory(ino)) continue;
      const home = this.world.homeOf(ino);
      // Without an epoch it lets nobody in.
      if (
        home.isUp &&
        home.epoch !== 0 &&
        !home.isGone &&
        !home.fences.isEvicted({ sid, sepoch: sepoch - 1 })
      ) {
        if (!home.needsEpoch && home.epoch === (fenced.get(home.id) ?? home.epoch)) {
          throw new Violation(`S4: leases of s${sid} fall, and home ${home.id} lets it in`);
        }
      }
      for (let page = 0; page < PAGES; page += 1) {
        this.world.checker.lost(pageKey(ino, page), home.versionOf(ino, page));
      }
      this.world.checker.lost(sizeKey(ino), tree.attr(ino)?.size ?? 0);
    }
  }
}
