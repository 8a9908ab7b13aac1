/** One call to another peer, watched: it ends by itself, by its signal, or for lack of progress. */
import { Metadata, status } from '@grpc/grpc-js';
import { FsError, isErrnoName } from '../common/errno.ts';
import { deferred } from '../common/lifecycle.ts';

export interface AttemptOptions {
  readonly target: { readonly name: string; readonly address: string };
  /** Without progress for so long it is given up, milliseconds. */
  readonly idleMs: number;
  readonly signal: AbortSignal | undefined;
}

/** What says that the peer, or the way to it, is at fault, not the call. */
const UNREACHED: ReadonlySet<unknown> = new Set([
  status.UNAVAILABLE,
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.INTERNAL,
]);

export class Attempt {
  readonly #options: AttemptOptions;
  readonly #outcome = deferred<void>();
  readonly #giveUp = (): void => {
    this.#end(new FsError('ETIMEDOUT', `a call to ${this.#options.target.name} was given up`));
  };
  #timer: NodeJS.Timeout;
  #cancel: () => void = () => undefined;
  #isOver = false;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#timer = this.#watch();
    options.signal?.addEventListener('abort', this.#giveUp);
    if (options.signal?.aborted === true) this.#giveUp();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** @throws FsError why it failed */
  get outcome(): Promise<void> {
    return this.#outcome.promise;
  }

  /** What ends the call when nobody waits for it any more. */
  onGivenUp(cancel: () => void): void {
    this.#cancel = cancel;
  }

  progress(): void {
    if (!this.#isOver) this.#timer.refresh();
  }

  done(): void {
    this.#end(undefined);
  }

  fail(error: unknown): void {
    this.#end(this.#toFsError(error));
  }

  #watch(): NodeJS.Timeout {
    const { idleMs } = this.#options;
    return setTimeout(() => this.#end(this.#unreached(`for ${idleMs / 1000} s`)), idleMs);
  }

  #end(error: FsError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#giveUp);
    if (error === undefined) {
      this.#outcome.resolve();
      return;
    }
    this.#outcome.reject(error);
    this.#cancel();
  }

  #unreached(how: string, cause?: unknown): FsError {
    const { address, name } = this.#options.target;
    return new FsError('EHOSTUNREACH', `${name} at ${address} does not answer (${how})`, { cause });
  }

  #toFsError(error: unknown): FsError {
    if (error instanceof FsError) return error;
    if (!(error instanceof Error)) return new FsError('EIO', String(error));
    const code = 'metadata' in error ? refusalCode(error.metadata) : undefined;
    if (code !== undefined) {
      const details = 'details' in error ? String(error.details) : error.message;
      const prefix = `${code}: `;
      const message = details.startsWith(prefix) ? details.slice(prefix.length) : details;
      return new FsError(code, message, { cause: error });
    }
    if ('code' in error && UNREACHED.has(error.code)) return this.#unreached(error.message, error);
    return new FsError('EIO', `${this.#options.target.name}: ${error.message}`, { cause: error });
  }
}

function refusalCode(metadata: unknown): FsError['code'] | undefined {
  if (!(metadata instanceof Metadata)) return undefined;
  const code = metadata.get('x-fs-errno')[0];
  return isErrnoName(code) ? code : undefined;
}
