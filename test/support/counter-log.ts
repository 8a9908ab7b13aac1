/**
 * Judges what programs logged that added to one number under a lock (`workload/counters.py`). Their
 * lines are in the order of time, and what one of them did under the lock is between no others. A
 * program that was killed, or told of an error, between its two lines may have written or not: the
 * next one may read either.
 */

export interface CounterJudgement {
  /** Additions that a program knows of, by machine. */
  readonly acknowledged: readonly number[];
  /** Calls that failed, by machine. */
  readonly failed: readonly number[];
  /** Those of which nobody knows whether they came to be. */
  readonly inDoubt: number;
  /** The first that two programs under one lock could not have seen; none when it is right. */
  readonly wrong: string | undefined;
}

interface Entry {
  readonly what: string;
  readonly pid: number;
  readonly value: number;
  readonly machine: number;
}

function parse(line: string): Entry {
  const [what = '', pid, value, machine] = line.split(' ');
  return { what, pid: Number(pid), value: Number(value), machine: Number(machine) };
}

/** Steps through the entries; what it holds is what the number may be. */
class Counter {
  readonly acknowledged: number[];
  readonly failed: number[];
  inDoubt = 0;
  #least = 0;
  #most = 0;
  /** Who has read and not said yet that he wrote. */
  #inside: number | undefined;

  constructor(machines: number) {
    this.acknowledged = Array.from({ length: machines }, () => 0);
    this.failed = [...this.acknowledged];
  }

  /** @returns what is wrong with it */
  step({ what, pid, value, machine }: Entry): string | undefined {
    if (what === 'failed') {
      this.failed[machine] = (this.failed[machine] ?? 0) + 1;
      return undefined;
    }
    return what === 'reads' ? this.#reads(pid, value) : this.#wrote(pid, machine);
  }

  ends(final: number): string | undefined {
    if (this.#inside !== undefined) this.inDoubt += 1;
    return this.#isPossible(final) ? undefined : `it is ${final} in the end, ${this.#possible()}`;
  }

  #reads(pid: number, value: number): string | undefined {
    if (this.#inside !== undefined) this.inDoubt += 1;
    if (!this.#isPossible(value)) return `${pid} reads ${value}, ${this.#possible()}`;
    this.#least = value;
    this.#most = value + 1;
    this.#inside = pid;
    return undefined;
  }

  #wrote(pid: number, machine: number): string | undefined {
    if (this.#inside !== pid) return `${pid} wrote, while ${this.#inside ?? 'nobody'} had the lock`;
    this.acknowledged[machine] = (this.acknowledged[machine] ?? 0) + 1;
    this.#least = this.#most;
    this.#inside = undefined;
    return undefined;
  }

  #isPossible(value: number): boolean {
    return value === this.#least || value === this.#most;
  }

  #possible(): string {
    return `but it was ${this.#least}${this.#most === this.#least ? '' : ` or ${this.#most}`}`;
  }
}

export function judgeCounter(log: string, final: number, machines: number): CounterJudgement {
  const counter = new Counter(machines);
  let wrong: string | undefined;
  for (const [at, line] of log.trim().split('\n').entries()) {
    wrong = counter.step(parse(line));
    if (wrong === undefined) continue;
    wrong = `line ${at + 1}: ${wrong}`;
    break;
  }
  wrong ??= counter.ends(final);
  const { acknowledged, failed, inDoubt } = counter;
  return { acknowledged, failed, inDoubt, wrong };
}
