/** Homes of files, as far as a fence needs them (C14): they confirm, some of them late. */

import type { SessionId } from '../../../src/common/ids.ts';
import {
  asEpoch,
  asNodeId,
  asSessionId,
  type Epoch,
  type NodeId,
} from '../../../src/common/ids.ts';
import { ReplyCache } from '../../../src/metaserver/reply-cache.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import { storeCodecs } from '../../../src/metaserver/store-codec.ts';
import type { World } from './world.ts';

const LATE_MS = 3_000;

interface Fence {
  readonly sid: SessionId;
  readonly sepoch: Epoch;
}

export class Homes {
  readonly all: readonly NodeId[] = [8, 9].map((id) => asNodeId(`0${id}`.repeat(16)));
  readonly #world: World;
  readonly #sessions: ReadonlyMap<NodeId, Session>;
  readonly #fenced = new Map<NodeId, Set<SessionId>>();

  constructor(world: World) {
    this.#world = world;
    this.#sessions = new Map(this.all.map((nodeId, at) => [nodeId, this.#session(nodeId, at)]));
  }

  peer(nodeId: NodeId): Session | undefined {
    return this.#sessions.get(nodeId);
  }

  /** It refuses what this session writes. */
  hasFenced(nodeId: NodeId, sid: SessionId): boolean {
    return this.#fenced.get(nodeId)?.has(sid) === true;
  }

  #session(nodeId: NodeId, at: number): Session {
    const sid = asSessionId(1_000 + at);
    return {
      sid,
      sepoch: asEpoch(1),
      nodeId,
      kind: 'peer',
      instance: 1n,
      follows: [],
      replies: new ReplyCache(sid, storeCodecs),
      sink: {
        push: (body) => {
          if (body.$case !== 'fence') return;
          const { sepoch, sid: fenced } = body.value;
          this.#fence(nodeId, { sid: asSessionId(fenced), sepoch: asEpoch(Number(sepoch)) });
        },
        close: () => undefined,
      },
      ended: false,
      heardMs: 0,
    };
  }

  #fence(nodeId: NodeId, fence: Fence): void {
    const { network, queue, random, server, tally } = this.#world;
    const isLate = random.chance(0.3);
    tally.fault(isLate ? 'late fence' : 'fence');
    const takesMs = network.delay() + (isLate ? LATE_MS * random.next() : 0);
    queue.after(takesMs, () => {
      const fenced = this.#fenced.get(nodeId) ?? new Set();
      this.#fenced.set(nodeId, fenced.add(fence.sid));
      queue.after(network.delay(), () => server.fenced(nodeId, fence));
    });
  }
}
