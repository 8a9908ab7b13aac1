/** Who appends now and then does so again within this. */
const APPENDING_MS = 10_000;
/** Called back so often within that time, and others will want it again. */
const SHARED_TIMES = 3;
const SHARED_MS = 10_000;

/** What a kernel has of one file, as far as this mount knows. */
export class KernelCopy {
  /** The file is at least this long for it. */
  size = 0;
  /** It was told that the file is this long; it may have dropped that. */
  toldSize = 0;
  /** It may have been told attributes that it need not ask for again. */
  mayKeep = true;
  /** It is being made to forget them: none are told meanwhile. */
  unsettling: Promise<void> | undefined;
  /** It is being made to forget pages: nothing of the file's end is told meanwhile. */
  dropping: Promise<void> | undefined;
  /** READ requests that were served. */
  #reads = 0;
  #readsUnderWay = 0;
  /** How many there were when what was appended last was forgotten. */
  #readsAtDrop = 0;
  /** How many there were when the lease was given up last, and when that was. */
  #readsAtForget = 0;
  #forgottenMs = Number.NEGATIVE_INFINITY;
  #appendedMs = Number.NEGATIVE_INFINITY;
  /** When its lease was called back last, oldest first. */
  #calledMs: readonly number[] = [];

  get isReading(): boolean {
    return this.#readsUnderWay > 0;
  }

  /** A READ is served from now on. */
  reads(): void {
    this.#reads += 1;
  }

  /** It takes longer. */
  during<T>(read: Promise<T>): Promise<T> {
    this.#readsUnderWay += 1;
    return read.finally(() => {
      this.#readsUnderWay -= 1;
    });
  }

  /** It has to forget all of it, or had to. */
  forgot(nowMs: number): void {
    this.#readsAtForget = this.#reads;
    this.#forgottenMs = nowMs;
  }

  /** Programs here append to it at this time. */
  isAppendedTo(nowMs: number): boolean {
    return nowMs - this.#appendedMs <= APPENDING_MS;
  }

  /** Others have called for it, so that it has to forget all of it. */
  called(nowMs: number): void {
    this.#calledMs = [...this.#calledMs, nowMs].slice(-SHARED_TIMES);
    this.forgot(nowMs);
  }

  /** Several machines use it, and at least one writes: what is opened now reads and writes past its pages. */
  isShared(nowMs: number): boolean {
    const [first] = this.#calledMs;
    return this.#calledMs.length === SHARED_TIMES && nowMs - (first ?? 0) <= SHARED_MS;
  }

  /** An append was done. @returns whether it may have pages from before */
  appended(nowMs: number): boolean {
    this.#appendedMs = nowMs;
    return this.writtenPast();
  }

  /** Something was written past its pages. @returns whether it may have some from before */
  writtenPast(): boolean {
    const mayHave = this.#reads !== this.#readsAtDrop;
    this.#readsAtDrop = this.#reads;
    return mayHave;
  }

  /** It was made to forget all of it not over `ms` ago, and may have read pages again since. */
  hasReadAgain(nowMs: number, ms: number): boolean {
    return this.#reads !== this.#readsAtForget && nowMs - this.#forgottenMs <= ms;
  }
}
