/**
 * One block of a file as a register: reads see the last write. Every write has a value of its own;
 * 0 is the block before the first write, and after a truncation. What a machine wrote and did not
 * sync is lost at most when that machine fails; once another machine has seen or changed the
 * block, it has been published and cannot be lost any more.
 */
import {
  describe,
  type Fault,
  precedes,
  RIGHT,
  type Timed,
  type Verdict,
  wrong,
} from './history.ts';
import { type Model, type Search, STEPS_MAX, search } from './search.ts';
import { shrink } from './shrink.ts';

export type BlockCall = Timed &
  (
    | { readonly kind: 'read' | 'write'; readonly value: number }
    | { readonly kind: 'zero' }
    /** fsync(2) or close(2) that succeeded: what its machine wrote is safe. */
    | { readonly kind: 'sync' }
    /** What the machine had not synced is gone, or part of it. */
    | { readonly kind: 'lose' }
  );

interface Block {
  readonly value: number;
  /** Which machine would take it along. */
  readonly writer?: number;
  /** What the block may fall back to. */
  readonly below?: readonly number[];
}

function published(state: Block): Block {
  return state.writer === undefined ? state : { value: state.value };
}

function written(state: Block, value: number, mount: number): Block {
  const below = state.writer === mount ? (state.below ?? []) : [];
  return { value, writer: mount, below: [...below, state.value] };
}

function step(state: Block, call: BlockCall): readonly Block[] {
  const { mount } = call;
  switch (call.kind) {
    case 'read':
      if (call.value !== state.value) return [];
      return [state.writer === mount ? state : published(state)];
    case 'write':
      return [written(state, call.value, mount)];
    case 'zero':
      return [{ value: 0 }];
    case 'sync':
      return [state.writer === mount ? published(state) : state];
    case 'lose':
      return state.writer === mount ? (state.below ?? []).map((value) => ({ value })) : [];
  }
}

const MODEL: Model<Block, BlockCall> = {
  initial: { value: 0 },
  step,
  key: ({ value, writer, below = [] }) => `${value} ${writer ?? ''} ${below.join()}`,
  looks: ({ kind }) => kind === 'read' || kind === 'sync',
};

/** Where nothing can be lost, who wrote it does not matter. */
const MODEL_WITHOUT_LOSS: Model<Block, BlockCall> = {
  ...MODEL,
  step: (state, call) => {
    if (call.kind === 'sync') return [state];
    return step(state, call).map((next) => (next === state ? state : published(next)));
  },
};

type Write = BlockCall & { readonly kind: 'write' };
type Read = BlockCall & { readonly kind: 'read' };

function isWrite(call: BlockCall): call is Write {
  return call.kind === 'write';
}

function isRead(call: BlockCall): call is Read {
  return call.kind === 'read';
}

/**
 * A write that was seen has happened, before the first look at it was over; one of unknown outcome
 * that nobody saw explains nothing. This leaves few open calls to the search.
 */
function settled(calls: readonly BlockCall[]): BlockCall[] {
  const seenNs = new Map<number, number>();
  for (const { value, returnNs } of calls.filter(isRead)) {
    seenNs.set(value, Math.min(returnNs, seenNs.get(value) ?? returnNs));
  }
  return calls.flatMap((call): BlockCall[] => {
    if (call.kind !== 'write') return [call];
    const firstNs = seenNs.get(call.value);
    if (firstNs === undefined || firstNs < call.invokeNs) {
      return call.optional === true ? [] : [call];
    }
    return [{ ...call, optional: false, returnNs: Math.min(call.returnNs, firstNs) }];
  });
}

function lossesOf(faults: readonly Fault[]): BlockCall[] {
  return faults.map(({ mount, beginNs, endNs }) => ({
    kind: 'lose',
    client: 'fault',
    mount,
    invokeNs: beginNs,
    returnNs: endNs,
    optional: true,
  }));
}

function run(calls: readonly BlockCall[], stepsMax: number): Search<BlockCall> {
  const model = calls.some(({ kind }) => kind === 'lose') ? MODEL : MODEL_WITHOUT_LOSS;
  return search(model, settled(calls), stepsMax);
}

function shown(call: BlockCall): string {
  switch (call.kind) {
    case 'read':
      return describe(call, `read ${call.value}`);
    case 'write':
      return describe(call, `wrote ${call.value}`);
    case 'zero':
      return describe(call, 'truncated');
    case 'sync':
      return describe(call, 'synced');
    case 'lose':
      return describe(call, 'may have lost what was not synced');
  }
}

/** What no search is needed for: a value out of nowhere, or before it was written. */
function impossibleRead(object: string, calls: readonly BlockCall[]): Verdict | undefined {
  const writes = new Map(calls.filter(isWrite).map((write) => [write.value, write]));
  for (const read of calls.filter(isRead)) {
    if (read.value === 0) continue;
    const write = writes.get(read.value);
    if (write === undefined) {
      return wrong(object, `${read.value} was read and never written`, [shown(read)]);
    }
    if (precedes(read, write)) {
      return wrong(
        object,
        `${read.value} was read before it was written`,
        [read, write].map(shown),
      );
    }
  }
  return undefined;
}

function reasonFor(few: readonly BlockCall[], all: readonly BlockCall[]): string {
  const reads = few.filter(isRead);
  const last = reads.reduce<Read | undefined>(
    (latest, read) => (latest === undefined || read.invokeNs > latest.invokeNs ? read : latest),
    undefined,
  );
  if (last === undefined) return 'no order of these calls explains them';
  const newer = reads.find((read) => read.value !== last.value && precedes(read, last));
  if (newer !== undefined) return `new, then old: ${newer.value} was read, and later ${last.value}`;
  const missed = few
    .filter(isWrite)
    .findLast((call) => call.value !== last.value && precedes(call, last));
  if (missed !== undefined) {
    return all.filter(isRead).some(({ value }) => value === missed.value)
      ? `stale read of ${last.value}: ${missed.value} had been written`
      : `lost write: nobody ever saw ${missed.value}, ${last.value} was read after it`;
  }
  return `stale read of ${last.value}`;
}

/** @param faults of machines whose programs may have lost what they had not synced */
export function checkBlock(
  object: string,
  calls: readonly BlockCall[],
  faults: readonly Fault[] = [],
  stepsMax = STEPS_MAX,
): Verdict {
  const impossible = impossibleRead(object, calls);
  if (impossible !== undefined) return impossible;
  const writers = new Set(calls.filter(isWrite).map(({ mount }) => mount));
  const losses = lossesOf(faults.filter(({ mount }) => writers.has(mount)));
  const all = [...calls, ...losses];
  const found = run(all, stepsMax);
  if (found.kind === 'linearizable') return RIGHT;
  if (found.kind === 'undecided') return { kind: 'undecided', object };
  const few = shrink(all, found.at, {
    fails: (some) => run(some, stepsMax).kind === 'violation' && valuesKnown(some),
    looks: ({ kind }) => kind === 'read' || kind === 'sync',
  });
  return wrong(object, reasonFor(few, calls), few.map(shown));
}

/** A shrunk history must not be wrong for a new reason: each value that is read is written. */
function valuesKnown(calls: readonly BlockCall[]): boolean {
  const written = new Set(calls.filter(isWrite).map(({ value }) => value));
  return calls.filter(isRead).every(({ value }) => value === 0 || written.has(value));
}
