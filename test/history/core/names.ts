/**
 * A group of names as a map from name to file. The names that one call may touch are in one group
 * and are judged together; every file has a mark of its own from the call that makes it.
 *
 * One call is one step where the kernel makes one request by name of it. link(2) and rename(2) are
 * two: the kernel looks the source up, and later acts on the file it found (a rename whose source
 * and target it found to be the same file does nothing); on any filesystem another program may
 * step in between. A listing is not atomic: each name in it is a look of its own.
 */
import { byTime, describe, precedes, RIGHT, type Timed, type Verdict, wrong } from './history.ts';
import { type Model, STEPS_MAX, search } from './search.ts';
import { shrink } from './shrink.ts';

export type NamesCall = Timed &
  (
    | { readonly kind: 'create'; readonly name: string; readonly mark: number }
    | { readonly kind: 'unlink'; readonly name: string }
    | {
        readonly kind: 'rename';
        readonly name: string;
        readonly to: string;
        /** With RENAME_NOREPLACE, false. */
        readonly replaces: boolean;
      }
    | { readonly kind: 'link'; readonly name: string; readonly to: string }
    /** By name; also what a refused call saw. Without a mark: something, whatever it is. */
    | { readonly kind: 'present'; readonly name: string; readonly mark?: number }
    | { readonly kind: 'absent'; readonly name: string }
    /** How many names a file has, as stat(2) tells. */
    | { readonly kind: 'count'; readonly mark: number; readonly links: number }
  );

type Look = NamesCall & { readonly kind: 'present' | 'absent' | 'count' };

/** link and rename look up first: the model takes them apart. */
type Step = NamesCall & { readonly half?: 'finds' | 'acts'; readonly pair?: number };

interface Names {
  readonly files: ReadonlyMap<string, number>;
  /** What link and rename found, by pair. */
  readonly found: ReadonlyMap<number, number>;
}

function changed(state: Names, changes: Readonly<Record<string, number | undefined>>): Names {
  const files = new Map(state.files);
  for (const [name, mark] of Object.entries(changes)) {
    if (mark === undefined) files.delete(name);
    else files.set(name, mark);
  }
  return { ...state, files };
}

function without(state: Names, pair: number): Names {
  const found = new Map(state.found);
  found.delete(pair);
  return { ...state, found };
}

function linksOf({ files }: Names, mark: number): number {
  return [...files.values()].filter((each) => each === mark).length;
}

function finds(state: Names, call: Step): readonly Names[] {
  if (call.kind !== 'link' && call.kind !== 'rename') return [];
  const mark = state.files.get(call.name);
  if (mark === undefined) return [];
  return [{ ...state, found: new Map(state.found).set(call.pair ?? 0, mark) }];
}

function links(before: Names, to: string, pair: number): readonly Names[] {
  const mark = before.found.get(pair);
  const state = without(before, pair);
  // A file without any name left cannot get one again.
  if (mark === undefined || linksOf(state, mark) === 0 || state.files.has(to)) return [];
  return [changed(state, { [to]: mark })];
}

function renames(before: Names, call: Step & { readonly kind: 'rename' }): readonly Names[] {
  const pair = call.pair ?? 0;
  const mark = before.found.get(pair);
  if (mark === undefined) return [];
  const state = without(before, pair);
  const source = state.files.get(call.name);
  const target = state.files.get(call.to);
  const nothing = call.replaces && target === mark ? [state] : [];
  if (source === undefined || (!call.replaces && target !== undefined)) return nothing;
  if (source === target) return [state];
  return [...nothing, changed(state, { [call.name]: undefined, [call.to]: source })];
}

function fits(state: Names, call: Look): boolean {
  if (call.kind === 'count') return linksOf(state, call.mark) === call.links;
  const mark = state.files.get(call.name);
  if (call.kind === 'absent') return mark === undefined;
  return mark !== undefined && (call.mark === undefined || call.mark === mark);
}

function step(state: Names, call: Step): readonly Names[] {
  switch (call.kind) {
    case 'create':
      return state.files.has(call.name) ? [] : [changed(state, { [call.name]: call.mark })];
    case 'unlink':
      return state.files.has(call.name) ? [changed(state, { [call.name]: undefined })] : [];
    case 'rename':
      return call.half === 'finds' ? finds(state, call) : renames(state, call);
    case 'link':
      return call.half === 'finds' ? finds(state, call) : links(state, call.to, call.pair ?? 0);
    case 'present':
    case 'absent':
    case 'count':
      return fits(state, call) ? [state] : [];
  }
}

function looks(call: NamesCall): call is Look {
  return call.kind === 'present' || call.kind === 'absent' || call.kind === 'count';
}

const MODEL: Model<Names, Step> = {
  initial: { files: new Map(), found: new Map() },
  step,
  key: ({ files, found }) =>
    `${[...files].map((entry) => entry.join('=')).sort()}|${[...found].map((entry) => entry.join('=')).sort()}`,
  looks,
};

function stepsOf(call: NamesCall, pair: number): readonly Step[] {
  if (call.kind !== 'rename' && call.kind !== 'link') return [call];
  return [
    { ...call, half: 'finds', pair },
    { ...call, half: 'acts', pair },
  ];
}

function run(
  calls: readonly NamesCall[],
  stepsMax: number,
): ReturnType<typeof search<Names, Step>> {
  return search(MODEL, calls.flatMap(stepsOf), stepsMax);
}

function shown(call: NamesCall): string {
  switch (call.kind) {
    case 'create':
      return describe(call, `made ${call.name}, file ${call.mark}`);
    case 'unlink':
      return describe(call, `removed ${call.name}`);
    case 'rename':
      return describe(
        call,
        `renamed ${call.name} to ${call.to}${call.replaces ? '' : ' without replacing'}`,
      );
    case 'link':
      return describe(call, `linked ${call.name} as ${call.to}`);
    case 'present':
      return describe(call, `${call.name} was there${call.mark ? `, file ${call.mark}` : ''}`);
    case 'absent':
      return describe(call, `${call.name} was not there`);
    case 'count':
      return describe(call, `file ${call.mark} had ${call.links} names`);
  }
}

function touches(call: NamesCall, name: string): boolean {
  if (call.kind === 'count') return false;
  return call.name === name || ('to' in call && call.to === name);
}

function happened(few: readonly NamesCall[], kind: NamesCall['kind']): NamesCall[] {
  return few.filter((call) => call.kind === kind && call.optional !== true);
}

/** Two calls that made one name, and nothing that could have freed it in between. */
function doubleCreation(few: readonly NamesCall[]): string | undefined {
  const made = happened(few, 'create').map((call) => (call.kind === 'create' ? call.name : ''));
  const name = made.find((each, index) => made.indexOf(each) !== index);
  if (name === undefined) return undefined;
  const freed = few.some(
    (call) => (call.kind === 'unlink' || call.kind === 'rename') && touches(call, name),
  );
  return freed ? undefined : `two exclusive creations of ${name} succeeded`;
}

function reasonFor(few: readonly NamesCall[], at: NamesCall): string {
  const double = doubleCreation(few);
  if (double !== undefined) return double;
  const about = (...kinds: readonly NamesCall['kind'][]): boolean =>
    at.kind !== 'count' && few.some((call) => kinds.includes(call.kind) && touches(call, at.name));
  if (looks(at) && about('rename')) return 'a rename was seen by half';
  if (at.kind === 'present' && about('unlink')) {
    return `${at.name} was seen again after it had been removed`;
  }
  if (at.kind === 'absent' && about('create', 'link')) {
    return `${at.name} was not seen though it had been made`;
  }
  if (at.kind === 'count') return `file ${at.mark} had another number of names`;
  return 'no order of these calls explains them';
}

export function checkNames(
  object: string,
  calls: readonly NamesCall[],
  stepsMax = STEPS_MAX,
): Verdict {
  const found = run(calls, stepsMax);
  if (found.kind === 'linearizable') return RIGHT;
  if (found.kind === 'undecided') return { kind: 'undecided', object };
  const few = shrink(calls, found.at, {
    // Many doubtful calls make a search long: what it cannot decide is not left out.
    fails: (some) => run(some, Math.min(stepsMax, 3_000)).kind === 'violation',
    looks,
  });
  const last = few.reduce(
    (latest, call) => (call.optional === true || call.returnNs < latest.returnNs ? latest : call),
    few.find(({ optional }) => optional !== true) ?? found.at,
  );
  const all = [...few, ...meanwhile(calls, few, last)].sort(byTime);
  return wrong(object, reasonFor(all, last), told(all, last));
}

/** Changes of that name which had not returned: they excuse nothing, and are likely the cause. */
function meanwhile(
  calls: readonly NamesCall[],
  few: readonly NamesCall[],
  last: NamesCall,
): readonly NamesCall[] {
  if (last.kind === 'count') return [];
  return calls.filter(
    (call) =>
      !looks(call) &&
      touches(call, last.name) &&
      !precedes(call, last) &&
      !precedes(last, call) &&
      !few.some(({ client, invokeNs }) => client === call.client && invokeNs === call.invokeNs),
  );
}

const LINES_MAX = 12;

/** Other names may be needed to show it, and are seldom needed to understand it. */
function told(few: readonly NamesCall[], last: NamesCall): string[] {
  if (few.length <= LINES_MAX || last.kind === 'count') return few.map(shown);
  const near = few.filter((call) => touches(call, last.name)).slice(-LINES_MAX);
  return [`${few.length - near.length} calls are left out here`, ...near.map(shown)];
}
