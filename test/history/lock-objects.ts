/**
 * What the records say of locks. Each file has two objects: its locks of flock(2), and those of
 * fcntl(2), of processes and of open file descriptions. The counter in it is a third.
 */
import type { Addition } from './core/counter.ts';
import type { Timed } from './core/history.ts';
import type { LockCall, Range } from './core/locks.ts';
import type { Entry } from './record.ts';

export interface LockObjects {
  readonly locks: ReadonlyMap<string, readonly LockCall[]>;
  readonly counters: ReadonlyMap<string, readonly Addition[]>;
}

const SPACES = { flock: 'flock', posix: 'fcntl', ofd: 'fcntl' } as const;
type Kind = keyof typeof SPACES;
type Space = (typeof SPACES)[Kind];

const LOCKS = /^(flock|posix|ofd)( at once)?$/;
const OUTCOMES: Readonly<Record<string, 'refused' | 'late'>> = {
  EAGAIN: 'refused',
  EACCES: 'refused',
  EDEADLK: 'refused',
  EINTR: 'late',
};

export function isLock({ op }: Pick<Entry, 'op'>): boolean {
  return LOCKS.test(op);
}

/** Somebody else has it: that is an answer. */
export function isRefusal({ op, error }: Pick<Entry, 'op' | 'error'>): boolean {
  return LOCKS.test(op) && error !== undefined && error in OUTCOMES;
}

export function isLockFile(file: string): boolean {
  return /\/l\d$/.test(file);
}

function kindOf({ k = '' }: Entry['about']): Kind {
  return k === 'posix' || k === 'ofd' ? k : 'flock';
}

/** A process has locks of its own, any other kind belongs to the open file description. */
function ownerOf({ client, handle }: Entry, kind: Kind): string {
  return kind === 'posix' ? `process ${client}` : `descriptor ${client}/${handle}`;
}

function rangeOf({ at = 0, len = 0 }: Entry['about']): Range {
  return { start: at, end: len === 0 ? Number.POSITIVE_INFINITY : at + len };
}

function timed({ client, mount, invokeNs, returnNs, error }: Entry): Timed {
  const when = { client, mount, invokeNs, returnNs };
  return error === undefined ? when : { ...when, optional: true };
}

function callsOf(entry: Entry): readonly { readonly space: Space; readonly call: LockCall }[] {
  const { op, error, about } = entry;
  const kind = kindOf(about);
  const owner = ownerOf(entry, kind);
  if (isLock(entry)) {
    const outcome = error === undefined ? 'granted' : (OUTCOMES[error] ?? 'unknown');
    const { client, mount, invokeNs, returnNs } = entry;
    const when = { client, mount, invokeNs, returnNs };
    const how = { exclusive: about.x === true, waits: about.nb !== true, outcome } as const;
    const call: LockCall = { ...when, kind: 'lock', owner, ...rangeOf(about), ...how };
    return [{ space: SPACES[kind], call }];
  }
  if (op === 'unlock') {
    const call: LockCall = { ...timed(entry), kind: 'unlock', owner, ...rangeOf(about) };
    return [{ space: SPACES[kind], call }];
  }
  return op === 'close' ? closesOf(entry) : [];
}

/** A process loses what it has of a file with any descriptor of it; close(2) waits for that alone. */
function closesOf(entry: Entry): readonly { readonly space: Space; readonly call: LockCall }[] {
  return (['flock', 'posix', 'ofd'] as const).map((kind) => {
    const owner = ownerOf(entry, kind);
    const call = { ...timed(entry), kind: 'close', owner, isTold: kind === 'posix' } as const;
    return { space: SPACES[kind], call };
  });
}

/** Calls that never returned, by process. */
function deathsOf(entries: readonly Entry[]): ReadonlyMap<string, Timed> {
  const dead = entries.filter(({ error }) => error === 'KILLED');
  return new Map(dead.map((entry) => [entry.client, timed(entry)]));
}

function withDeaths(
  calls: readonly LockCall[],
  deaths: ReadonlyMap<string, Timed>,
): readonly LockCall[] {
  const owners = new Map(calls.map(({ client, owner }) => [owner, client]));
  const died = [...owners].flatMap(([owner, client]): LockCall[] => {
    const death = deaths.get(client);
    return death === undefined ? [] : [{ ...death, kind: 'death', owner }];
  });
  return [...calls, ...died];
}

/** What was written may be gone until its descriptor was synced. */
function additionsOf(entries: readonly Entry[]): ReadonlyMap<string, readonly Addition[]> {
  const handleOf = ({ client, handle }: Entry): string => `${client} ${handle}`;
  const syncedNs = new Map<string, number>();
  for (const entry of entries) {
    if (entry.op !== 'fsync' || entry.error !== undefined) continue;
    const handle = handleOf(entry);
    syncedNs.set(handle, Math.max(entry.invokeNs, syncedNs.get(handle) ?? 0));
  }
  const counters = new Map<string, Addition[]>();
  for (const entry of entries) {
    const { after, w = 0 } = entry.about;
    if (entry.op !== 'pwrite' || after === undefined) continue;
    const isSynced = (syncedNs.get(handleOf(entry)) ?? 0) >= entry.returnNs;
    const addition = { ...timed(entry), from: after, to: w, ...(!isSynced && { optional: true }) };
    counters.set(entry.file, [...(counters.get(entry.file) ?? []), addition]);
  }
  return counters;
}

export function lockObjectsOf(entries: readonly Entry[]): LockObjects {
  const own = entries.filter(({ file }) => isLockFile(file));
  const deaths = deathsOf(entries);
  const found = new Map<string, LockCall[]>();
  for (const entry of own) {
    for (const { space, call } of callsOf(entry)) {
      const object = `${space} locks of ${entry.file}`;
      found.set(object, [...(found.get(object) ?? []), call]);
    }
  }
  const locks = new Map([...found].map(([object, calls]) => [object, withDeaths(calls, deaths)]));
  return { locks, counters: additionsOf(own) };
}
