/**
 * Which calls of the past a home refuses: those of a session that was evicted or goes on in another
 * process, and writes under a lease that somebody else has followed. Rules C14 and C16 of
 * docs/PROTOCOL.md. For one life of the home: a later one has another group epoch, which every call
 * of before names wrongly.
 */
import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';

export interface CallRight {
  readonly ino: Ino;
  readonly sid: number;
  readonly sepoch: number;
  readonly lseq: number;
}

/** Late calls older than so many other files are not expected any more. */
const INOS_MAX = 200_000;
/** Of a session: there is none before. */
const FIRST_EPOCH = 1;

export class Fences {
  /** The smallest session epoch that is still let in. */
  readonly #sepochs = new Map<number, number>();
  /** The youngest lease seen, in the order of their last rise. */
  readonly #lseqs = new BoundedMap<Ino, number>(INOS_MAX);

  /** Calls of this session are refused below this epoch. */
  fence(sid: number, sepoch: number): void {
    this.#sepochs.set(sid, Math.max(sepoch, this.#sepochs.get(sid) ?? 0));
  }

  /** A call of this session came: those of a process before, under a smaller epoch, are too late. */
  meet({ sid, sepoch }: Pick<CallRight, 'sid' | 'sepoch'>): void {
    if (sepoch > FIRST_EPOCH) this.fence(sid, sepoch);
  }

  /** Someone works under this lease: writes under older ones come too late. */
  follow(ino: Ino, lseq: number): void {
    const known = this.#lseqs.get(ino) ?? 0;
    if (lseq <= known) return;
    this.#lseqs.delete(ino);
    this.#lseqs.set(ino, lseq);
  }

  isEvicted({ sid, sepoch }: Pick<CallRight, 'sid' | 'sepoch'>): boolean {
    return sepoch < (this.#sepochs.get(sid) ?? 0);
  }

  /** A write under this lease comes after one under a younger lease. */
  isLate({ ino, lseq }: Pick<CallRight, 'ino' | 'lseq'>): boolean {
    return lseq < (this.#lseqs.get(ino) ?? 0);
  }
}
