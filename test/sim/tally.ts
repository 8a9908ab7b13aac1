/** How often each operation, error and fault happened: what never did proves nothing. */
export class Tally {
  readonly #counts = new Map<string, number>();

  operation(kind: string, error: string | undefined): void {
    if (error === undefined) this.count(`done ${kind}`);
    else this.count(`error ${error}`);
  }

  fault(name: string): void {
    this.count(`fault ${name}`);
  }

  missing(expected: readonly string[]): string[] {
    return expected.filter((name) => !this.#counts.has(name));
  }

  toString(): string {
    const sorted = [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([name, count]) => `${name}: ${count}`).join(', ');
  }

  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }
}
