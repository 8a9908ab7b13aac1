/**
 * The control socket of a process: JSON over HTTP on a unix socket, a table of handlers. One
 * server serves one table; the node opens two, full control for its owner and status for all.
 * Commands talk to a running process through it, never through files in the mount.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ERRNO, FsError, toFsError } from './errno.ts';
import type { Logger } from './log.ts';

/** Gets the JSON body (undefined when there is none), returns what goes back as JSON. */
export type ControlHandler = (body: unknown) => Promise<object> | object;

/** `GET /status`, `POST /mount`. */
export type ControlRoute = `${'GET' | 'POST'} /${string}`;
export type ControlTable = ReadonlyMap<ControlRoute, ControlHandler>;

export interface ControlServerOptions {
  /** At most 107 bytes; a socket left there by a dead process is replaced. */
  readonly socketPath: string;
  /** Of the socket: 0o600 for its owner, 0o666 for everybody. */
  readonly mode: number;
  readonly handlers: ControlTable;
  readonly log: Logger;
}

const BODY_BYTES_MAX = 64 * 1024;
const CONNECTIONS_MAX = 64;

async function readBody(request: IncomingMessage): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request) {
    if (!(part instanceof Uint8Array)) continue;
    length += part.length;
    if (length > BODY_BYTES_MAX) throw new FsError('E2BIG', 'the request is too long');
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString('utf8');
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FsError('EINVAL', 'the request is not valid JSON', { cause: error });
  }
}

function respond(response: ServerResponse, status: number, document: object): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(document));
}

export class ControlServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #log: Logger;
  readonly #handlers: ReadonlyMap<string, ControlHandler>;
  readonly #running = new Set<Promise<void>>();

  private constructor(options: ControlServerOptions) {
    this.#log = options.log;
    this.#handlers = options.handlers;
    this.#server = createServer((request, response) => {
      const work = this.#answer(request, response).finally(() => this.#running.delete(work));
      this.#running.add(work);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Listens when it resolves. The caller holds the lock that makes the socket path its own. */
  static async open(options: ControlServerOptions): Promise<ControlServer> {
    const control = new ControlServer(options);
    await rm(options.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      control.#server.once('error', reject);
      control.#server.listen(options.socketPath, () => resolve());
    }).catch((error: unknown) => {
      throw toFsError(error, `cannot listen on ${options.socketPath}`);
    });
    await chmod(options.socketPath, options.mode);
    return control;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await readBody(request);
      const route = `${request.method} ${request.url}`;
      const handler = this.#handlers.get(route);
      if (handler === undefined) throw new FsError('EOPNOTSUPP', `${route} is not served here`);
      respond(response, 200, await handler(body));
    } catch (error) {
      this.#refuse(response, error);
    }
  }

  #refuse(response: ServerResponse, error: unknown): void {
    if (!(error instanceof FsError)) {
      this.#log.error('a control request failed', { error });
    }
    const known = toFsError(error, 'internal error');
    const status = known.errno === ERRNO.EOPNOTSUPP ? 404 : 500;
    respond(response, status, { code: known.code, message: known.message });
  }

  /** Stops listening, lets requests under way finish, and removes the socket. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#server.closeIdleConnections();
    await closed;
  }
}
