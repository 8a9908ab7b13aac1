/**
 * Rule H2: every peer is told the map of the cluster after its Welcome and at every change. What
 * changes in one turn of the event loop is told once.
 */
import type * as wire from '../../gen/meta.ts';
import { nodeIdToBytes } from '../common/rpc/codec.ts';
import type { Peers } from './peers.ts';
import type { Roster } from './roster.ts';
import type { Session } from './session.ts';
import { groupToWire } from './wire.ts';

export interface MapPusherOptions {
  readonly peers: Peers;
  readonly roster: Roster;
  /** The peers that have a stream. */
  readonly streams: () => Iterable<Session>;
  /** Grows, over restarts of the server too. */
  readonly takeNumber: () => number;
  /** Runs a task in the next turn of the event loop. */
  readonly schedule: (task: () => void) => void;
}

export class MapPusher {
  readonly #options: MapPusherOptions;
  #scheduled = false;

  constructor(options: MapPusherOptions) {
    this.#options = options;
  }

  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.schedule(() => {
      this.#scheduled = false;
      const value = this.#map();
      for (const { sink } of this.#options.streams()) sink?.push({ $case: 'map', value });
    });
  }

  #map(): wire.ClusterMap {
    const { peers, roster, takeNumber } = this.#options;
    return {
      version: BigInt(takeNumber()),
      peers: peers.all().map(({ nodeId, name, address, up, sinceMs, stores }) => ({
        nodeId: nodeIdToBytes(nodeId),
        name,
        address,
        up,
        sinceMs: BigInt(sinceMs),
        stores,
      })),
      groups: [...roster.groups].map(groupToWire),
    };
  }
}
