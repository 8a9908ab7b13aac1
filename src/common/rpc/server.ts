/** The one place that serves: how a socket is taken over and how large messages may be. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import net from 'node:net';
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { FsError, systemCode, toFsError } from '../errno.ts';
import { deferred } from '../lifecycle.ts';

/** The protocol stays below 256 KiB; what is larger than this ends the stream unread. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
const WINDOW_BYTES = 1024 * 1024;
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

function serverOf(services: readonly ServedService[]): Server {
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc-node.flow_control_window': WINDOW_BYTES,
  });
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  return server;
}

/** @returns the port */
function bind(server: Server, address: string): Promise<number> {
  const { promise, resolve, reject } = deferred<number>();
  server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) resolve(port);
    else reject(new FsError('EIO', `cannot serve on ${address}: ${error.message}`));
  });
  return promise;
}

export class RpcServer implements AsyncDisposable {
  /** 0 on a unix socket. */
  readonly port: number;
  readonly #server: Server;
  readonly #path: string | undefined;
  #closed: Promise<void> | undefined;

  private constructor(server: Server, path: string | undefined, port: number) {
    this.#server = server;
    this.#path = path;
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
    const server = serverOf(services);
    await bind(server, `unix:${path}`);
    await chmod(path, 0o600);
    return new RpcServer(server, path, 0);
  }

  /**
   * Serves on a TCP address; `port` 0 lets the kernel choose.
   * @throws FsError EIO when it cannot be listened on
   */
  static async bindTcp(
    { host, port }: { readonly host: string; readonly port: number },
    services: readonly ServedService[],
  ): Promise<RpcServer> {
    const server = serverOf(services);
    const place = net.isIPv6(host) ? `[${host}]` : host;
    return new RpcServer(server, undefined, await bind(server, `${place}:${port}`));
  }

  /** Gives open calls a moment to end, then cuts them off. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { promise, resolve } = deferred<void>();
    const timer = setTimeout(() => this.#server.forceShutdown(), SHUTDOWN_MS);
    // An error only says that it was shut down already.
    this.#server.tryShutdown(() => resolve());
    await promise;
    clearTimeout(timer);
    if (this.#path !== undefined) await removeSocket(this.#path);
  }
}
