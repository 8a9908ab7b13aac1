/** Calls between the peers of a test, without a network: straight to the other's Home. */
import { FsError } from '../../src/common/errno.ts';
import type { Ino } from '../../src/common/ids.ts';
import { homeFrames } from '../../src/peer/block-frames.ts';
import type {
  FileCall,
  PeerTarget,
  ReadCall,
  ReceivedBlocks,
} from '../../src/peer/chunk-client.ts';
import type { FileRight, WrittenRange } from '../../src/peer/chunk-store.ts';
import type { SpaceAsk } from '../../src/peer/core/grants.ts';
import type { Home } from '../../src/peer/home.ts';
import { checkFrame } from '../../src/peer/received-blocks.ts';

/** One call as a test sees it. */
export interface PeerCall {
  readonly kind: 'read' | 'write' | 'cut' | 'sync' | 'reserve';
  readonly from: string;
  readonly to: string;
  /** Space is asked for by no file. */
  readonly ino: Ino | undefined;
  /** How many came before it in this world. */
  readonly number: number;
}

/** Where a test may hold a call (return a promise) or fail it (throw). */
export interface CallHooks {
  /** Nothing of it has been done. */
  before(call: PeerCall): Promise<void> | void;
  /** All of it has been done at the home; the caller has not heard of it. For reads, each frame. */
  after(call: PeerCall): Promise<void> | void;
  readonly calls: PeerCall[];
}

export class WorldClient {
  readonly #from: string;
  readonly #hooks: CallHooks;
  readonly #homeOf: (target: PeerTarget) => Home;

  constructor(from: string, hooks: CallHooks, homeOf: (target: PeerTarget) => Home) {
    this.#from = from;
    this.#hooks = hooks;
    this.#homeOf = homeOf;
  }

  read(
    target: PeerTarget,
    { right, ino, run, have }: ReadCall,
    onBlocks: (blocks: ReceivedBlocks) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#call('read', target, ino, signal, async (home, call) => {
      let next = run.blockFirst;
      for await (const frame of homeFrames(home, { right, ino, run, have })) {
        await this.#hooks.after(call);
        if (signal?.aborted === true) return;
        const blocks = checkFrame(frame, { run, have, next });
        next += blocks.count;
        onBlocks(blocks);
      }
    });
  }

  write(
    target: PeerTarget,
    { right, ino }: FileCall,
    ranges: Iterable<WrittenRange>,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#call('write', target, ino, signal, async (home, call) => {
      const arrived: WrittenRange[] = [];
      for (const range of ranges) {
        arrived.push(range);
        await Promise.resolve();
      }
      for (const range of arrived) await home.write(right, ino, range);
      await this.#hooks.after(call);
    });
  }

  cut(
    target: PeerTarget,
    { right, ino, size }: FileCall & { readonly size: number },
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#call('cut', target, ino, signal, async (home, call) => {
      await home.cutFor(right, ino, size);
      await this.#hooks.after(call);
    });
  }

  sync(target: PeerTarget, { right, ino }: FileCall, signal?: AbortSignal): Promise<void> {
    return this.#call('sync', target, ino, signal, async (home, call) => {
      await home.sync(right, ino);
      await this.#hooks.after(call);
    });
  }

  reserve(
    target: PeerTarget,
    { ask, right }: { readonly right: FileRight; readonly ask: SpaceAsk },
    signal?: AbortSignal,
  ): Promise<number> {
    return this.#call('reserve', target, undefined, signal, async (home, call) => {
      const bytes = home.reserve(right, ask);
      await this.#hooks.after(call);
      return bytes;
    });
  }

  async #call<T>(
    kind: PeerCall['kind'],
    target: PeerTarget,
    ino: Ino | undefined,
    signal: AbortSignal | undefined,
    work: (home: Home, call: PeerCall) => Promise<T>,
  ): Promise<T> {
    const { calls } = this.#hooks;
    const call = { kind, from: this.#from, to: target.name, ino, number: calls.length };
    calls.push(call);
    const done = (async (): Promise<T> => {
      await this.#hooks.before(call);
      return work(this.#homeOf(target), call);
    })();
    if (signal === undefined) return done;
    return Promise.race([done, givenUp(signal)]);
  }
}

function givenUp(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const give = (): void => reject(new FsError('ETIMEDOUT', 'given up'));
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
}
