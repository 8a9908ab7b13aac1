/**
 * Finds out which peers cannot be reached from here: a partition between two peers is seen by
 * neither of them at the metaserver. A few are dialled each turn, the others in the next ones.
 */
import { resolvePeerAddress } from '../common/address.ts';
import type { PeerView } from '../common/cluster-map.ts';
import { FsError } from '../common/errno.ts';
import type { NodeId } from '../common/ids.ts';
import type { ChunkClient } from '../peer/chunk-client.ts';

const PEERS_A_TURN = 16;
const DIAL_MS = 4_000;

export class PeerProbe {
  readonly #client: Pick<ChunkClient, 'describe'>;
  /** Peers that did not answer when they were last asked, and since when, boot milliseconds. */
  readonly #silent = new Map<NodeId, number>();
  readonly #bootMs: () => number;
  #turn = 0;
  #looking: Promise<void> | undefined;

  constructor(options: {
    readonly client: Pick<ChunkClient, 'describe'>;
    readonly bootMs: () => number;
  }) {
    this.#client = options.client;
    this.#bootMs = options.bootMs;
  }

  /** Since when a peer does not answer, boot milliseconds; undefined while it does. */
  silentSince(nodeId: NodeId): number | undefined {
    return this.#silent.get(nodeId);
  }

  /** Asks some of the peers. @returns those that are said to be up and do not answer here */
  async look(peers: readonly PeerView[]): Promise<NodeId[]> {
    const asked = peers.filter(({ address }) => address !== undefined);
    for (const nodeId of this.#silent.keys()) {
      if (!asked.some((peer) => peer.nodeId === nodeId)) this.#silent.delete(nodeId);
    }
    this.#looking ??= this.#ask(this.#next(asked)).finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
    return asked.filter(({ nodeId, up }) => up && this.#silent.has(nodeId)).map((p) => p.nodeId);
  }

  /** @returns why the node does not answer at the address; undefined when it does */
  async dial(nodeId: NodeId, address: string, metaserver: string): Promise<string | undefined> {
    const place = resolvePeerAddress(address, metaserver);
    if (place === undefined) return 'it has no address';
    try {
      const found = await this.#client.describe(place, AbortSignal.timeout(DIAL_MS));
      if (found.nodeId !== nodeId) return `another node answers at ${place}`;
      return undefined;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      return error.message;
    }
  }

  #next(peers: readonly PeerView[]): PeerView[] {
    const turns = Math.max(1, Math.ceil(peers.length / PEERS_A_TURN));
    this.#turn = (this.#turn + 1) % turns;
    return peers.slice(this.#turn * PEERS_A_TURN, (this.#turn + 1) * PEERS_A_TURN);
  }

  async #ask(peers: readonly PeerView[]): Promise<void> {
    await Promise.all(
      peers.map(async ({ address = '', nodeId }) => {
        const failure = await this.dial(nodeId, address, '');
        if (failure === undefined) this.#silent.delete(nodeId);
        else if (!this.#silent.has(nodeId)) this.#silent.set(nodeId, this.#bootMs());
      }),
    );
  }
}
