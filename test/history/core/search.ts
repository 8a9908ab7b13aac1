/**
 * Is there an order of the calls that respects real time and that a sequential object could have
 * gone through? The search of Wing and Gong in the form of Lowe's "just in time": the history is
 * walked in the order of time with the set of all configurations (state, calls that have taken
 * effect and not returned) that explain it so far, and calls take effect only when a return needs
 * it. Equal configurations are kept once, which is the memo of the search.
 */
import type { Timed } from './history.ts';

export interface Model<S, C extends Timed> {
  readonly initial: S;
  /**
   * The states in which the call may leave the object, none when it cannot have happened here.
   * A call without effect returns the very state it was given.
   */
  step(state: S, call: C): readonly S[];
  key(state: S): string;
  /**
   * It may be taken as done wherever it changes nothing: later would explain no more. So are
   * looks, and changes that were refused.
   */
  looks(call: C): boolean;
}

export type Search<C> =
  | { readonly kind: 'linearizable'; readonly steps: number }
  | { readonly kind: 'undecided'; readonly steps: number }
  /** No order explains the return of this call and all that returned before it. */
  | { readonly kind: 'violation'; readonly steps: number; readonly at: C };

interface Configuration<S> {
  readonly state: S;
  /** A bit for each slot whose call has taken effect and not returned. */
  readonly done: bigint;
}

interface Event<C> {
  readonly ns: number;
  readonly call: C;
  readonly returns: boolean;
}

class OutOfSteps extends Error {}

export const STEPS_MAX = 2_000_000;

class Searcher<S, C extends Timed> {
  steps = 0;
  readonly #model: Model<S, C>;
  readonly #stepsMax: number;
  readonly #slots = new Map<C, bigint>();
  readonly #freeSlots: bigint[] = [];
  #configurations: readonly Configuration<S>[];

  constructor(model: Model<S, C>, stepsMax: number) {
    this.#model = model;
    this.#stepsMax = stepsMax;
    this.#configurations = [{ state: model.initial, done: 0n }];
  }

  /** @returns whether anything explains the history up to this event */
  take({ call, returns }: Event<C>): boolean {
    if (returns) this.#returned(call);
    else this.#invoked(call);
    return this.#configurations.length > 0;
  }

  #invoked(call: C): void {
    const slot = this.#freeSlots.pop() ?? 1n << BigInt(this.#slots.size);
    this.#slots.set(call, slot);
    if (!this.#settles(call)) return;
    this.#configurations = this.#configurations.map(({ state, done }) =>
      this.#step(state, call).includes(state) ? { state, done: done | slot } : { state, done },
    );
  }

  #returned(call: C): void {
    const slot = this.#slots.get(call) ?? 0n;
    const found = new Map<string, Configuration<S>>();
    const keep = ({ state, done }: Configuration<S>): void => {
      const kept = { state, done: done & ~slot };
      found.set(this.#key(kept), kept);
    };
    // One that need not have happened returns in either case, but not later than now.
    if (call.optional === true) for (const each of this.#configurations) keep(each);
    this.#explore(slot, keep);
    this.#slots.delete(call);
    this.#freeSlots.push(slot);
    this.#configurations = [...found.values()];
  }

  /** All ways in which calls take effect, until the one of `slot` has. */
  #explore(slot: bigint, keep: (configuration: Configuration<S>) => void): void {
    const seen = new Set<string>();
    const stack = [...this.#configurations];
    for (let from = stack.pop(); from !== undefined; from = stack.pop()) {
      if ((from.done & slot) !== 0n) {
        keep(from);
        continue;
      }
      const key = this.#key(from);
      if (seen.has(key)) continue;
      seen.add(key);
      for (const [call, own] of this.#slots) {
        if ((from.done & own) !== 0n) continue;
        for (const state of this.#step(from.state, call)) {
          stack.push(this.#settled({ state, done: from.done | own }));
        }
      }
    }
  }

  #settled({ state, done }: Configuration<S>): Configuration<S> {
    let all = done;
    for (const [call, slot] of this.#slots) {
      if ((all & slot) !== 0n || !this.#settles(call)) continue;
      if (this.#step(state, call).includes(state)) all |= slot;
    }
    return { state, done: all };
  }

  #settles(call: C): boolean {
    return call.optional !== true && this.#model.looks(call);
  }

  #step(state: S, call: C): readonly S[] {
    this.steps += 1;
    if (this.steps > this.#stepsMax) throw new OutOfSteps();
    return this.#model.step(state, call);
  }

  #key({ state, done }: Configuration<S>): string {
    return `${done.toString(36)} ${this.#model.key(state)}`;
  }
}

/** Calls that touch at one instant overlap: invocations come first. */
function eventsOf<C extends Timed>(calls: readonly C[]): Event<C>[] {
  const events = calls.flatMap((call): Event<C>[] => [
    { ns: call.invokeNs, call, returns: false },
    { ns: call.returnNs, call, returns: true },
  ]);
  return events
    .filter(({ ns }) => ns !== Number.POSITIVE_INFINITY)
    .sort((one, other) => one.ns - other.ns || Number(one.returns) - Number(other.returns));
}

/** @param stepsMax of the model, after which the search gives up */
export function search<S, C extends Timed>(
  model: Model<S, C>,
  calls: readonly C[],
  stepsMax = STEPS_MAX,
): Search<C> {
  const searcher = new Searcher(model, stepsMax);
  try {
    for (const event of eventsOf(calls)) {
      if (!searcher.take(event)) {
        return { kind: 'violation', steps: searcher.steps, at: event.call };
      }
    }
  } catch (error) {
    if (!(error instanceof OutOfSteps)) throw error;
    return { kind: 'undecided', steps: searcher.steps };
  }
  return { kind: 'linearizable', steps: searcher.steps };
}
