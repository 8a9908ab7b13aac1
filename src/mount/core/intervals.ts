/** A half-open range of bytes. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** A set of byte positions, kept as the fewest ranges, in order. */
export class IntervalSet {
  #ranges: Interval[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** How many positions are in it. */
  get bytes(): number {
    return this.#bytes;
  }

  add(start: number, end: number): void {
    if (end <= start) return;
    const first = this.#firstEndingAt(start);
    let next = first;
    let from = start;
    let to = end;
    for (let range = this.#ranges[next]; range !== undefined && range.start <= end; ) {
      from = Math.min(from, range.start);
      to = Math.max(to, range.end);
      this.#bytes -= range.end - range.start;
      next += 1;
      range = this.#ranges[next];
    }
    this.#ranges.splice(first, next - first, { start: from, end: to });
    this.#bytes += to - from;
  }

  addAll(other: IntervalSet): void {
    for (const { start, end } of other.#ranges) this.add(start, end);
  }

  /** Takes out everything from `size` on. */
  clip(size: number): void {
    const kept: Interval[] = [];
    this.#bytes = 0;
    for (const { start, end } of this.#ranges) {
      if (start >= size) break;
      const range = { start, end: Math.min(end, size) };
      kept.push(range);
      this.#bytes += range.end - range.start;
    }
    this.#ranges = kept;
  }

  clear(): void {
    this.#ranges = [];
    this.#bytes = 0;
  }

  /** Takes out start..end-1. */
  remove(start: number, end: number): void {
    const tail = this.within(end, Number.POSITIVE_INFINITY);
    this.clip(start);
    for (const range of tail) this.add(range.start, range.end);
  }

  /** What of start..end-1 is in it, in order. */
  within(start: number, end: number): Interval[] {
    const found: Interval[] = [];
    for (let at = this.#firstEndingAt(start); at < this.#ranges.length; at += 1) {
      const range = this.#ranges[at];
      if (range === undefined || range.start >= end) break;
      const part = { start: Math.max(range.start, start), end: Math.min(range.end, end) };
      if (part.end > part.start) found.push(part);
    }
    return found;
  }

  covers(start: number, end: number): boolean {
    const range = this.#ranges[this.#firstEndingAt(end)];
    return range !== undefined && range.start <= start;
  }

  ranges(): readonly Interval[] {
    return this.#ranges;
  }

  /** Index of the first range that ends at `position` or later. */
  #firstEndingAt(position: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.end ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
