/** What this mount wrote to a file of another peer and has not published yet. */

import type { GroupId } from '../../common/ids.ts';
import { SerialQueue } from '../../peer/serial-queue.ts';
import { type Interval, IntervalSet } from '../core/intervals.ts';
import type { HomeState } from './data-path.ts';

/**
 * The bytes lie in the write-back folder; this says which ranges count, and how far they are.
 * They stay until they are published: a home that restarts, or a cut by others, makes the writer
 * send them again. `grown` is what of them makes the file longer and is not at the home yet.
 *
 * `from` is the published size: what lies behind it takes new space at the home.
 */
export class Written {
  /** Sending and publishing, one after another. */
  readonly queue = new SerialQueue();
  readonly rg: GroupId;
  #unsent = new IntervalSet();
  #sent = new IntervalSet();
  #publishing = new IntervalSet();
  #grown = new IntervalSet();
  /** Taken to be sent, and not known to have arrived. */
  #grownTaken = new IntervalSet();
  /** Under what everything in `sent` was taken by the home. */
  #sentUnder: HomeState | undefined;

  constructor(rg: GroupId) {
    this.rg = rg;
  }

  get isEmpty(): boolean {
    return this.#unsent.isEmpty && this.#sent.isEmpty && this.#publishing.isEmpty;
  }

  get unsentBytes(): number {
    return this.#unsent.bytes;
  }

  get grownBytes(): number {
    return this.#grown.bytes + this.#grownTaken.bytes;
  }

  /** What a write of start..end-1 would add to what is grown. */
  growth(start: number, end: number, from: number): number {
    return this.#growth(start, end, from).bytes;
  }

  add(start: number, end: number, from: number): void {
    this.#grown.addAll(this.#growth(start, end, from));
    this.#unsent.add(start, end);
  }

  /** Takes what is to be sent now; what was sent under another state is sent again. */
  take(under: HomeState, from: number): IntervalSet {
    const before = this.#sentUnder;
    if (before !== undefined && (before.cuts !== under.cuts || before.rgEpoch !== under.rgEpoch)) {
      this.resend(from);
    }
    this.#sentUnder = under;
    const taken = this.#unsent;
    this.#unsent = new IntervalSet();
    this.#sent.addAll(taken);
    this.#grownTaken = this.#grown;
    this.#grown = new IntervalSet();
    return taken;
  }

  /** How much of start..end-1, which was taken, is grown. */
  grownIn({ end, start }: Interval): number {
    return bytesOf(this.#grownTaken.within(start, end));
  }

  /** What was taken has arrived. @returns how much of it was grown */
  arrived(): number {
    const { bytes } = this.#grownTaken;
    this.#grownTaken = new IntervalSet();
    return bytes;
  }

  /** It did not arrive. */
  giveBack(taken: IntervalSet): void {
    this.#unsent.addAll(taken);
    this.#grown.addAll(this.#grownTaken);
    this.#grownTaken = new IntervalSet();
  }

  resend(from: number): void {
    this.#unsent.addAll(this.#sent);
    for (const { start, end } of this.#sent.ranges()) this.#grown.add(Math.max(start, from), end);
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
    for (const set of [...this.#all, this.#grown, this.#grownTaken]) set.clip(size);
  }

  /** What of start..end-1 counts; ranges may overlap. */
  within(start: number, end: number): Interval[] {
    return this.#all.flatMap((set) => set.within(start, end));
  }

  /** All that counts. */
  ranges(): readonly Interval[] {
    const all = new IntervalSet();
    for (const set of this.#all) all.addAll(set);
    return all.ranges();
  }

  covers(start: number, end: number): boolean {
    const all = new IntervalSet();
    for (const range of this.within(start, end)) all.add(range.start, range.end);
    return all.bytes === end - start;
  }

  get #all(): readonly IntervalSet[] {
    return [this.#unsent, this.#sent, this.#publishing];
  }

  #growth(start: number, end: number, from: number): IntervalSet {
    const growth = new IntervalSet();
    const first = Math.max(start, from);
    growth.add(first, end);
    if (growth.isEmpty) return growth;
    for (const known of this.within(first, end)) growth.remove(known.start, known.end);
    return growth;
  }
}

function bytesOf(ranges: readonly Interval[]): number {
  return ranges.reduce((bytes, { end, start }) => bytes + end - start, 0);
}
