/**
 * One rule less each. A mutation stands in for a part of the protocol, or changes one line of a
 * copy of the compiled class: nothing of it is in what is shipped.
 */
import type { LockDesk } from '../../../src/metaserver/lock-desk.ts';
import type { MountLeases } from '../../../src/mount/mount-leases.ts';
import { type Change, compiled, copyOf, instead } from '../copies.ts';
import type { Mood } from './actions.ts';
import { type Parts, REAL } from './parts.ts';

const TABLE = compiled('common/core/locks.js');
const DESK = compiled('metaserver/lock-desk.js');
const LOCKS = compiled('mount/locks.js');
const LEASES = compiled('mount/mount-leases.js');

async function changedLeases(...changes: Change[]): Promise<Parts> {
  const module = (await import(copyOf(LEASES, changes))) as { MountLeases: typeof MountLeases };
  return { ...REAL, mountLeases: module.MountLeases };
}

/** The locks of a mount. */
function changedLocks(...changes: Change[]): Promise<Parts> {
  return changedLeases(instead(LOCKS, copyOf(LOCKS, changes)));
}

async function changedDesk(...changes: Change[]): Promise<Parts> {
  const module = (await import(copyOf(DESK, changes))) as { LockDesk: typeof LockDesk };
  return { ...REAL, lockDesk: (options) => new module.LockDesk(options) };
}

/** The table of the metaserver. */
function changedTable(...changes: Change[]): Promise<Parts> {
  return changedDesk(instead(TABLE, copyOf(TABLE, changes)));
}

export interface Mutation {
  readonly name: string;
  /** Where it shows soonest. */
  readonly mood?: Mood;
  parts(): Parts | Promise<Parts>;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'who waits is served in any order (L2)',
    parts: () => changedTable(['return !earlier.some(', 'return true || !earlier.some(']),
  },
  {
    name: 'nobody looks for circles (L3)',
    parts: () => changedTable(["if (lock.kind === 'posix' && this.#waitsFor(", 'if (false && (']),
  },
  {
    mood: 'restarts',
    name: 'flock(2) gives up what it has already, for a moment (L1)',
    parts: () =>
      changedLocks(
        ['if (hasAll && this.#options.isValid()) return false;', ''],
        ["if (lock.kind === 'flock' && !hasAll)", "if (lock.kind === 'flock')"],
      ),
  },
  {
    name: 'an interrupted wait is not taken back (L4)',
    parts: () => changedLocks(['await this.#service().cancelLock(waiting.ticket)', 'true']),
  },
  {
    name: 'a request that was not executed is not taken back (L4)',
    parts: () =>
      changedDesk(['const isBack = this.#takeBack(sid, ticket);', 'const isBack = false;']),
  },
  {
    mood: 'restarts',
    name: 'a request that is taken back has no answer (L4)',
    parts: () => changedDesk(["job.done(new FsError('EINTR', 'the request was taken back'));", '']),
  },
  {
    name: 'a request without an answer is not followed by an unlock (L4)',
    parts: () => changedLocks(['this.#owed.push({ place, ticket });', '']),
  },
  {
    name: 'what is owed is not tried again (L4)',
    parts: () => changedLocks(['if (this.#isClosed) return;', 'return;']),
  },
  {
    name: 'who waits does not ask again on a new stream (L4)',
    parts: () => changedLocks(['waiting.isDoubtful = true;', ';']),
  },
  {
    name: 'who waits asks again while he is being taken back (L4)',
    parts: () =>
      changedLocks(
        ["waiting.isDoubtful && waiting.state === 'waits'", "waiting.state !== 'over'"],
        ["waiting.state = 'leaves';", ''],
        ["if (waiting.state === 'waits') waiting.isDoubtful = true;", 'waiting.isDoubtful = true;'],
      ),
  },
  {
    mood: 'pauses',
    name: 'a grant that is read with the answer before it is not noted (L4)',
    parts: () =>
      changedLocks([
        "if (waiting?.state === 'asks') waiting.state = 'asks, granted';",
        "if (waiting?.state === 'asks') return;",
      ]),
  },
  {
    name: 'programs are told of locks after the leases ran out (L4)',
    parts: () => changedLocks(['while (!this.#options.isValid()) {', 'while (false) {']),
  },
  {
    name: 'a mount does not name its locks after a restart (L5)',
    parts: () => changedLeases(['await this.locks.say();', '']),
  },
  {
    mood: 'restarts',
    name: 'a mount names what was unlocked meanwhile (L5)',
    parts: () => changedLocks(['if (this.#held.has(lock)) await', 'await']),
  },
  {
    name: 'others have an answer before all have settled (L5)',
    parts: () => ({ ...REAL, claims: (op) => (op.$case === 'lock' ? [] : REAL.claims(op)) }),
  },
  {
    mood: 'restarts',
    name: 'who hears late of his session does not settle (C13)',
    parts: () => changedLeases(['if (resumed && !this.#isFollowing)', 'if (false)']),
  },
  {
    name: 'locks of an evicted session fall before the fence (L5)',
    parts: () => ({ ...REAL, fences: false }),
  },
  {
    mood: 'pauses',
    name: 'programs on an evicted machine are not told (L5)',
    parts: () =>
      changedLocks([
        'this.restarted(); this.#owed = []; this.#lose(inos);',
        'this.restarted(); this.#owed = [];',
      ]),
  },
  {
    name: 'locks of a process that another one follows are kept (L5)',
    parts: () => ({ ...REAL, dropsAtHandOver: false }),
  },
  {
    mood: 'pauses',
    name: 'a mount decides after its leases ran out (L6)',
    parts: () => changedLeases(['isValid: () => bootMs() < this.#endMs()', 'isValid: () => true']),
  },
  {
    mood: 'streams',
    name: 'a mount decides about what it gives back (L6)',
    parts: () => changedLocks(['&& !this.#returning.has(ino)', '']),
  },
  {
    name: 'locks are given back while one is asked for (L6)',
    parts: () =>
      changedLocks(['this.#inTurn(ino, () => this.#giveBack(ino))', 'this.#giveBack(ino)']),
  },
  {
    mood: 'streams',
    name: 'a call is not repeated on a new stream (L6)',
    parts: () =>
      changedDesk([
        'for (const delegation of this.#delegations.called(sid))',
        'for (const delegation of [])',
      ]),
  },
  {
    name: 'who waits does not make his mount give the file back (L6)',
    parts: () =>
      changedLocks([
        'if (this.#delegated.has(lock.ino)) await this.#giveBack(lock.ino); if (lock.kind',
        'if (lock.kind',
      ]),
  },
  {
    name: 'who knows of no delegation gives back what it knows (L6)',
    parts: () => changedDesk(['if (delegation === 0n) return;', '']),
  },
];
