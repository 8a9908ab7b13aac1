/** What this mount wrote to a file of another peer and has not published yet. */

import { SerialQueue } from '../../peer/serial-queue.ts';
import { type Interval, IntervalSet } from '../core/intervals.ts';
import type { HomeState } from './data-path.ts';

/**
 * The bytes lie in the write-back folder; this says which ranges count, and how far they are.
 * They stay until they are published: a home that restarts, or a cut by others, makes the writer
 * send them again.
 */
export class Written {
  /** Sending and publishing, one after another. */
  readonly queue = new SerialQueue();
  #unsent = new IntervalSet();
  #sent = new IntervalSet();
  #publishing = new IntervalSet();
  /** Under what everything in `sent` was taken by the home. */
  #sentUnder: HomeState | undefined;

  get isEmpty(): boolean {
    return this.#unsent.isEmpty && this.#sent.isEmpty && this.#publishing.isEmpty;
  }

  get unsentBytes(): number {
    return this.#unsent.bytes;
  }

  add(start: number, end: number): void {
    this.#unsent.add(start, end);
  }

  /** Takes what is to be sent now; what was sent under another state is sent again. */
  take(under: HomeState): IntervalSet {
    const before = this.#sentUnder;
    if (before !== undefined && (before.cuts !== under.cuts || before.rgEpoch !== under.rgEpoch)) {
      this.resend();
    }
    this.#sentUnder = under;
    const taken = this.#unsent;
    this.#unsent = new IntervalSet();
    this.#sent.addAll(taken);
    return taken;
  }

  /** It did not arrive. */
  giveBack(taken: IntervalSet): void {
    this.#unsent.addAll(taken);
  }

  resend(): void {
    this.#unsent.addAll(this.#sent);
    this.#sent.clear();
    this.#sentUnder = undefined;
  }

  /** @returns what is published now */
  startPublication(): readonly Interval[] {
    this.#publishing = this.#sent;
    this.#sent = new IntervalSet();
    return this.#publishing.ranges();
  }

  published(): void {
    this.#publishing = new IntervalSet();
  }

  failed(): void {
    this.#sent.addAll(this.#publishing);
    this.#publishing = new IntervalSet();
  }

  /** The file was cut to `size` by this mount: what lies behind is not written any more. */
  clip(size: number): void {
    for (const set of [this.#unsent, this.#sent, this.#publishing]) set.clip(size);
  }

  /** What of start..end-1 counts; ranges may overlap. */
  within(start: number, end: number): Interval[] {
    return [this.#unsent, this.#sent, this.#publishing].flatMap((set) => set.within(start, end));
  }

  /** All that counts. */
  ranges(): readonly Interval[] {
    const all = new IntervalSet();
    for (const set of [this.#unsent, this.#sent, this.#publishing]) all.addAll(set);
    return all.ranges();
  }

  covers(start: number, end: number): boolean {
    const all = new IntervalSet();
    for (const range of this.within(start, end)) all.add(range.start, range.end);
    return all.bytes === end - start;
  }
}
