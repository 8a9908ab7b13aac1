/**
 * Tells the primary of a replica group which backing files are garbage. The queue is the `t` keys
 * as they are stored, so that nothing is announced before its deletion is durable, and nothing is
 * forgotten. One page is under way at a time; its answer asks for the next. A pass that reached
 * the end starts again when something was added since.
 */
import { asIno, type GroupId, type Ino } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import { decodeU64, family, type KeyRange } from './core/keyspace.ts';
import type { Codec } from './core/records.ts';
import type { KvEntry } from './kv.ts';

const PAGE = 1000;
const BATCH_MS = 50;
const BATCH_INOS = 256;

export interface ReclaimOptions {
  /** Reads stored entries only. */
  readonly scan: (range: KeyRange & { readonly limit: number }) => Promise<KvEntry[]>;
  readonly codec: Codec<GroupId>;
  /** Whether the peer leads this group. */
  readonly leads: (rg: GroupId) => boolean;
  readonly push: (inos: readonly Ino[]) => void;
  readonly onError: (error: unknown) => void;
}

export class ReclaimPusher implements AsyncDisposable {
  readonly #options: ReclaimOptions;
  readonly #tasks: TaskGroup;
  #cursor: string | undefined;
  #waiting = false;
  #scanning = false;
  #added = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ReclaimOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup(options.onError);
  }

  start(): void {
    this.#cursor = family('t').gte;
    this.#next();
  }

  /** So many more wait, durably. */
  signal(count: number): void {
    this.#added += count;
    if (this.#added >= BATCH_INOS) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  /** The peer answered the page under way. */
  answered(): void {
    this.#waiting = false;
    this.#next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#tasks.settle();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#next();
  }

  #next(): void {
    if (this.#closed || this.#waiting || this.#scanning) return;
    if (this.#cursor === undefined) {
      if (this.#added === 0) return;
      this.#cursor = family('t').gte;
    }
    // What is added from here on may lie before the cursor: it asks for another pass.
    if (this.#cursor === family('t').gte) this.#added = 0;
    this.#scanning = true;
    const gte = this.#cursor;
    this.#tasks.run(async () => {
      try {
        await this.#page(gte);
      } finally {
        this.#scanning = false;
      }
      this.#next();
    });
  }

  async #page(gte: string): Promise<void> {
    const { scan, codec, leads, push } = this.#options;
    const page = await scan({ gte, lt: family('t').lt, limit: PAGE });
    const last = page.at(-1);
    this.#cursor = page.length < PAGE || last === undefined ? undefined : `${last[0]}\0`;
    const inos = page
      .filter(([, value]) => leads(codec.decode(value)))
      .map(([key]) => asIno(decodeU64(key, 1)));
    if (inos.length === 0 || this.#closed) return;
    this.#waiting = true;
    push(inos);
  }
}
