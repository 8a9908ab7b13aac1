/**
 * A stretch of network between a client and a server on this machine. Frozen, it takes everything
 * and delivers nothing, as a machine does that was unplugged: no end, no error.
 */
import net from 'node:net';
import { type Deferred, deferred } from '../../src/common/lifecycle.ts';

interface Waiting {
  readonly count: number;
  readonly met: Deferred<void>;
}

export class TcpRelay implements AsyncDisposable {
  /** Connections since the start. */
  connections = 0;
  readonly #server: net.Server;
  readonly #target: number;
  readonly #sockets = new Set<net.Socket>();
  #isFrozen = false;
  #isClosed = false;
  #waiting: Waiting[] = [];

  private constructor(target: number) {
    this.#target = target;
    this.#server = net.createServer((socket) => this.#accept(socket));
  }

  /** Relays to a port of 127.0.0.1. */
  static async start(target: number): Promise<TcpRelay> {
    const relay = new TcpRelay(target);
    const listening = deferred<void>();
    relay.#server.listen(0, '127.0.0.1', () => listening.resolve());
    await listening.promise;
    return relay;
  }

  get address(): string {
    const address = this.#server.address();
    return `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  }

  /** What is connected stays so for ever, and what connects from now on too. */
  freeze(): void {
    this.#isFrozen = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.resume();
    }
  }

  /** New connections are relayed again; the old ones stay frozen. */
  thaw(): void {
    this.#isFrozen = false;
  }

  /** Resolves when so many connections were made since the start. */
  async until(count: number): Promise<void> {
    if (this.connections >= count) return;
    const met = deferred<void>();
    this.#waiting.push({ count, met });
    await met.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = deferred<void>();
    this.#isClosed = true;
    this.#server.close(() => closed.resolve());
    for (const socket of this.#sockets) socket.destroy();
    await closed.promise;
  }

  #accept(client: net.Socket): void {
    if (this.#isClosed) {
      client.destroy();
      return;
    }
    this.connections++;
    this.#keep(client);
    if (this.#isFrozen) client.resume();
    else {
      const server = net.connect(this.#target, '127.0.0.1');
      this.#keep(server);
      client.pipe(server).pipe(client);
    }
    for (const { count, met } of this.#waiting) if (this.connections >= count) met.resolve();
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
