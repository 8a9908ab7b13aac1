/** Connections to other peers, one an address, closed when nobody has used them for a while. */
import type { ChunkServiceClient } from '../../gen/peer.ts';
import { dialPeer, isConnected } from '../common/rpc/channel.ts';

const IDLE_MS = 60_000;
const SWEEP_MS = 20_000;
const CONNECTIONS_MAX = 256;

interface Connection {
  readonly client: ChunkServiceClient;
  users: number;
  usedMs: number;
}

export class PeerConnections {
  readonly #bootMs: () => number;
  /** In the order of their last use. */
  readonly #connections = new Map<string, Connection>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: { readonly bootMs: () => number }) {
    this.#bootMs = options.bootMs;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /**
   * The connection stays at least until `release` is called. One that does not stand is given up
   * then, and dialled anew: the kernel repeats an unanswered SYN at ever longer intervals.
   */
  take(address: string): { readonly client: ChunkServiceClient; readonly release: () => void } {
    const connection = this.#connections.get(address) ?? {
      client: dialPeer(address),
      users: 0,
      usedMs: 0,
    };
    connection.users += 1;
    connection.usedMs = this.#bootMs();
    this.#connections.delete(address);
    this.#connections.set(address, connection);
    if (this.#connections.size > CONNECTIONS_MAX) this.#sweep(0);
    const release = (): void => {
      connection.users -= 1;
      if (connection.users > 0 || isConnected(connection.client)) return;
      connection.client.close();
      if (this.#connections.get(address) === connection) this.#connections.delete(address);
    };
    return { client: connection.client, release };
  }

  closeAll(): void {
    clearInterval(this.#sweeper);
    for (const { client } of this.#connections.values()) client.close();
    this.#connections.clear();
  }

  #sweep(idleMs = IDLE_MS): void {
    const nowMs = this.#bootMs();
    for (const [address, { client, users, usedMs }] of this.#connections) {
      if (users > 0 || nowMs - usedMs < idleMs) continue;
      this.#connections.delete(address);
      client.close();
    }
  }
}
