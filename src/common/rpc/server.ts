/** The one place that serves: how a socket is taken over and how large messages may be. */
import { EventEmitter } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import type { ServerHttp2Session } from 'node:http2';
import net from 'node:net';
import {
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type Address, formatAddress } from '../address.ts';
import { assert } from '../assert.ts';
import { type ErrnoName, FsError, systemCode, toFsError } from '../errno.ts';
import { deferred, delay } from '../lifecycle.ts';
import { CHUNK_LIMITS, type Limits, PING_MS, PING_TIMEOUT_MS, SESSION_LIMITS } from './limits.ts';

/** sun_path of unix(7), with its final zero. */
const SOCKET_PATH_BYTES_MAX = 107;
const SHUTDOWN_MS = 500;

export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

/** True when a process accepts connections there. */
async function isServed(path: string): Promise<boolean> {
  const { promise, resolve, reject } = deferred<boolean>();
  const socket = net.connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error) => {
    const code = systemCode(error);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
    else reject(toFsError(error, `cannot look at the socket ${path}`));
  });
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** Removes a socket file; anything else at its place is somebody's data. */
async function removeSocket(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket()) throw new FsError('EEXIST', `${path} is not a socket`);
    await unlink(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw toFsError(error, `cannot remove ${path}`);
  }
}

/** Ends connections whose other side is gone without a word. Clients may ping as they like. */
const PINGS = {
  'grpc.keepalive_time_ms': PING_MS,
  'grpc.keepalive_timeout_ms': PING_TIMEOUT_MS,
};

function serverOf(
  services: readonly ServedService[],
  { messageBytes }: Limits,
  options: ServerOptions = {},
): Server {
  const server = new Server({
    'grpc.max_receive_message_length': messageBytes,
    'grpc.max_send_message_length': messageBytes,
    ...options,
  });
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  return server;
}

/**
 * grpc-js has no option for the receive window of a server, and the 64 KiB of HTTP/2 would hold
 * a writer 10 ms away at 6 MB/s. So the windows are opened where it keeps its listeners; the test
 * of this file notices when a version keeps them elsewhere.
 */
function widenWindows(server: Server, { windowBytes }: Limits): void {
  const listeners: unknown = Reflect.get(server, 'http2Servers');
  assert(listeners instanceof Map, 'this grpc-js keeps its listeners elsewhere');
  for (const listener of listeners.keys()) {
    assert(listener instanceof EventEmitter, 'a listener without events');
    listener.on('session', (session: ServerHttp2Session) => {
      session.settings({ initialWindowSize: windowBytes });
      session.setLocalWindowSize(windowBytes);
    });
  }
}

const REFUSALS: readonly (readonly [RegExp, ErrnoName, string])[] = [
  [/EADDRINUSE/, 'EBUSY', 'another program listens there'],
  [/EADDRNOTAVAIL|ENOTFOUND|Name resolution/, 'EINVAL', 'it is no address of this machine'],
  [/EACCES/, 'EACCES', 'this user may not listen there'],
];

/** @returns the port */
function bind(server: Server, place: string, shown = place): Promise<number> {
  const { promise, resolve, reject } = deferred<number>();
  server.bindAsync(place, ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) {
      resolve(port);
      return;
    }
    const isSocket = place.startsWith('unix:');
    const known = REFUSALS.find(([pattern]) => !isSocket && pattern.test(error.message));
    const [, code, why] = known ?? [undefined, 'EIO' as const, error.message];
    reject(new FsError(code, `cannot listen on ${shown}: ${why}`, { cause: error }));
  });
  return promise;
}

export class RpcServer implements AsyncDisposable {
  /** As it was asked for; empty on a unix socket. */
  readonly host: string;
  /** 0 on a unix socket. */
  readonly port: number;
  readonly #server: Server;
  readonly #path: string | undefined;
  #closed: Promise<void> | undefined;

  private constructor(server: Server, { host, port }: Address, path?: string) {
    this.#server = server;
    this.#path = path;
    this.host = host;
    this.port = port;
  }

  /**
   * Serves on a unix socket of mode 0600. A socket file nobody answers on is replaced.
   * @throws FsError EBUSY another process serves there, EEXIST no socket, EINVAL path too long
   */
  static async bindUnix(path: string, services: readonly ServedService[]): Promise<RpcServer> {
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      throw new FsError('EINVAL', `a socket path over ${SOCKET_PATH_BYTES_MAX} bytes: ${path}`);
    }
    if (await isServed(path)) {
      throw new FsError('EBUSY', `another process answers on ${path}`);
    }
    await removeSocket(path);
    const server = serverOf(services, SESSION_LIMITS);
    await bind(server, `unix:${path}`, path);
    await chmod(path, 0o600);
    widenWindows(server, SESSION_LIMITS);
    return new RpcServer(server, { host: '', port: 0 }, path);
  }

  /**
   * Serves on a TCP address, with room for chunks; `port` 0 lets the kernel choose.
   * @throws FsError EBUSY the port is taken, EINVAL no address of this machine, EACCES
   */
  static async bindTcp(
    { host, port }: Address,
    services: readonly ServedService[],
  ): Promise<RpcServer> {
    const server = serverOf(services, CHUNK_LIMITS, PINGS);
    const bound = await bind(server, formatAddress({ host, port }));
    widenWindows(server, CHUNK_LIMITS);
    return new RpcServer(server, { host, port: bound });
  }

  /** Gives open calls a moment to end, then cuts them off. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { promise, resolve } = deferred<void>();
    const timer = setTimeout(() => this.#server.forceShutdown(), SHUTDOWN_MS);
    const stop = new AbortController();
    // An error only says that it was shut down already.
    this.#server.tryShutdown(() => resolve());
    // It loses count of connections that its pings ended, and would wait for them for ever.
    await Promise.race([promise, delay(2 * SHUTDOWN_MS, stop.signal)]);
    stop.abort();
    clearTimeout(timer);
    if (this.#path !== undefined) await removeSocket(this.#path);
  }
}
