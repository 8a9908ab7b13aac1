/**
 * Looks at files that somebody writes: the writer is asked what it has not published, so that
 * neither waits for the other. Rule C19 of docs/PROTOCOL.md. Whoever cannot say, or says nothing in
 * time, is waited for like anybody else.
 */
import type { Attr, Timespec } from '../../common/attr.ts';
import type { Ino, SessionId } from '../../common/ids.ts';
import { nextTimes } from './flush-attr.ts';

/** A lease somebody writes under. */
export interface WriteLease {
  readonly sid: SessionId;
  readonly ino: Ino;
  readonly lseq: number;
}

/** What a session has written to a file and not published. */
export interface Unpublished {
  /** The file is at least this long. */
  readonly end: number;
  readonly mtime: Timespec;
}

interface Asked<Look> extends WriteLease {
  readonly look: Look;
  readonly sinceMs: number;
}

/** Then its lease is called back. */
export const GLIMPSE_MS = 1_000;

export class Glimpses<Look> {
  /** In the order they were asked. */
  readonly #asked = new Map<number, Asked<Look>>();
  #nextId = 1;

  get count(): number {
    return this.#asked.size;
  }

  /** @returns what the answer names */
  ask(look: Look, lease: WriteLease, nowMs: number): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#asked.set(id, { ...lease, look, sinceMs: nowMs });
    return id;
  }

  /** @returns the look that waits for this answer, if any does: of an earlier life, or late */
  answered(id: number, { sid, ino, lseq }: WriteLease): Look | undefined {
    const asked = this.#asked.get(id);
    if (asked?.sid !== sid || asked.ino !== ino || asked.lseq !== lseq) return undefined;
    this.#asked.delete(id);
    return asked.look;
  }

  /** Looks that have waited long enough; they are not waited for here any more. */
  overdue(nowMs: number): Look[] {
    const late: Look[] = [];
    for (const [id, { look, sinceMs }] of this.#asked) {
      if (nowMs - sinceMs < GLIMPSE_MS) break;
      this.#asked.delete(id);
      late.push(look);
    }
    return late;
  }

  /** Looks nobody wants any more. */
  drop(isOver: (look: Look) => boolean): void {
    for (const [id, { look }] of this.#asked) if (isOver(look)) this.#asked.delete(id);
  }
}

/** Attributes as they will be when that is published. */
export function withUnpublished(attr: Attr, { end, mtime }: Unpublished): Attr {
  return {
    ...attr,
    size: Math.max(attr.size, end),
    ...nextTimes(attr, { mtime, size: end }),
  };
}
