/**
 * Which mount decides about the locks of which file by itself, and who waits until it says what it
 * has: rule L6 of docs/PROTOCOL.md. Without time and effects of its own.
 */
import type { Ino, SessionId } from '../../common/ids.ts';

export interface Delegation {
  readonly ino: Ino;
  readonly sid: SessionId;
  readonly id: number;
}

interface Given<Job> extends Delegation {
  calledMs: number | undefined;
  queue: Job[];
}

/** Who is called has so long. */
const CALL_MS = 10_000;
/** So long after several mounts have asked nobody decides alone. */
const SHARED_MS = 10_000;

export class LockDelegations<Job> {
  readonly #given = new Map<Ino, Given<Job>>();
  /** Files that several mounts have asked about, and when. */
  readonly #sharedMs = new Map<Ino, number>();
  /** Queues of delegations that are over. */
  readonly #ready = new Map<Ino, Job[]>();
  #nextId = 1;

  get count(): number {
    return this.#given.size;
  }

  of(ino: Ino): Delegation | undefined {
    return this.#given.get(ino);
  }

  all(): Delegation[] {
    return [...this.#given.values()];
  }

  /** @returns its number; undefined: it is shared at the moment */
  give(ino: Ino, sid: SessionId, nowMs: number): number | undefined {
    const given = this.#given.get(ino);
    // Its reply may not have arrived; once called it is to be given back.
    if (given !== undefined) return given.calledMs === undefined ? given.id : undefined;
    const sharedMs = this.#sharedMs.get(ino);
    if (sharedMs !== undefined && nowMs - sharedMs < SHARED_MS) return undefined;
    this.#sharedMs.delete(ino);
    const id = this.#nextId++;
    this.#given.set(ino, { ino, sid, id, calledMs: undefined, queue: [] });
    return id;
  }

  /** @returns whether it has to be called now. Without a job nobody waits. */
  queue(ino: Ino, job: Job | undefined, nowMs: number): boolean {
    const given = this.#given.get(ino);
    if (given === undefined) return false;
    if (job !== undefined) given.queue.push(job);
    if (given.calledMs !== undefined) return false;
    given.calledMs = nowMs;
    return true;
  }

  /** It was given back. @param id 0: whichever. @returns false when it was not given */
  take(ino: Ino, sid: SessionId, id: number): boolean {
    const given = this.#given.get(ino);
    if (given?.sid !== sid || (id !== 0 && given.id !== id)) return false;
    if (given.calledMs !== undefined) this.#sharedMs.set(ino, given.calledMs);
    this.#end(given);
    return true;
  }

  /** What waited, once the delegation is over. */
  takeQueue(ino: Ino): Job[] {
    const queue = this.#ready.get(ino) ?? [];
    this.#ready.delete(ino);
    return queue;
  }

  /** Nothing is delegated to the session any more. @returns the files */
  drop(sid: SessionId): Ino[] {
    const own = [...this.#given.values()].filter((given) => given.sid === sid);
    for (const given of own) this.#end(given);
    return own.map(({ ino }) => ino);
  }

  /** Delegations of a session that it was called for. */
  called(sid: SessionId): Delegation[] {
    return [...this.#given.values()].filter((given) => {
      return given.sid === sid && given.calledMs !== undefined;
    });
  }

  /** Sessions that others wait for. */
  waitedFor(): SessionId[] {
    return this.#waited().map(({ sid }) => sid);
  }

  /** Of these, those that were called long ago. To be called from time to time. */
  overdue(nowMs: number): SessionId[] {
    for (const [ino, sharedMs] of this.#sharedMs) {
      if (nowMs - sharedMs >= SHARED_MS) this.#sharedMs.delete(ino);
    }
    const late = this.#waited().filter(({ calledMs }) => nowMs - (calledMs ?? nowMs) >= CALL_MS);
    return late.map(({ sid }) => sid);
  }

  #waited(): Given<Job>[] {
    return [...this.#given.values()].filter(({ queue }) => queue.length > 0);
  }

  #end({ ino, queue }: Given<Job>): void {
    this.#given.delete(ino);
    if (queue.length > 0) this.#ready.set(ino, queue);
  }
}
