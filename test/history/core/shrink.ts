/**
 * From a history that nothing explains, the few calls that show it. Only what weakens a history
 * is tried, so that what is left is wrong as well: a look is left out, a change becomes one that
 * may or may not have happened.
 */
import { byTime, type Timed } from './history.ts';

export interface Shrinking<C extends Timed> {
  /** Still nothing explains these. */
  fails(calls: readonly C[]): boolean;
  /** It only says what was seen. */
  looks(call: C): boolean;
}

/** What had been called when the failing call returned; what had not returned may be undone. */
function upTo<C extends Timed>(calls: readonly C[], at: C, looks: (call: C) => boolean): C[] {
  const begun = calls.filter((call) => call.invokeNs <= at.returnNs);
  return begun
    .filter((call) => call.returnNs <= at.returnNs || !looks(call))
    .map((call) => (call.returnNs <= at.returnNs ? call : opened(call)));
}

function opened<C extends Timed>(call: C): C {
  return { ...call, optional: true, returnNs: Number.POSITIVE_INFINITY };
}

/** Leaves out as many of `candidates` as it can, in runs that get shorter. */
function without<C extends Timed>(
  calls: readonly C[],
  candidate: (call: C) => boolean,
  weaken: (call: C) => readonly C[],
  fails: (calls: readonly C[]) => boolean,
): readonly C[] {
  let kept = calls;
  for (let size = Math.ceil(calls.length / 2); ; size = Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length; at += size) {
      const tried = kept.flatMap((call, index) =>
        index >= at && index < at + size && candidate(call) ? weaken(call) : [call],
      );
      if (fails(tried)) kept = tried;
    }
    if (size <= 1) return kept;
  }
}

/** @param at the call at whose return nothing explained the history any more */
export function shrink<C extends Timed>(
  calls: readonly C[],
  at: C,
  { fails, looks }: Shrinking<C>,
): readonly C[] {
  const begun = upTo(calls, at, looks);
  const start = fails(begun) ? begun : calls;
  const fewLooks = without(start, looks, () => [], fails);
  const isChange = (call: C): boolean => !looks(call) && call.optional !== true;
  const fewChanges = without(fewLooks, isChange, (call) => [opened(call)], fails);
  // Those that may not have happened explain nothing here; most are not worth a line.
  const isDoubtful = (call: C): boolean => call.optional === true;
  const few = without(fewChanges, isDoubtful, () => [], fails);
  return [...few].sort(byTime);
}
