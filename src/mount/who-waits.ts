/**
 * Which requests of the kernel wait for whom: what the mount knows of each, and for those that the
 * metaserver has, what it says. Nothing is kept for this: the requests are those the connection and
 * the session have anyway, and the metaserver is asked only when somebody wants to know.
 */
import {
  ObstacleKind,
  type WaitingOperation,
  type Obstacle as WireObstacle,
} from '../../gen/meta.ts';
import type { Blocker, WaitingRequest } from '../common/core/waiting.ts';
import { FsError } from '../common/errno.ts';
import { safeInteger } from '../common/ids.ts';
import { within } from '../common/lifecycle.ts';
import { nameFromBytes, nameToBytes } from '../common/name.ts';
import type { Operation, SessionClient, Unanswered } from '../common/rpc/session-client.ts';
import { type Cause, waitingRequest } from './core/why-waits.ts';
import type { StuckRequest } from './driver/driver.ts';
import type { Vfs } from './vfs/vfs.ts';

export interface WhoWaitsOptions {
  readonly session: Pick<SessionClient, 'request' | 'unanswered' | 'up'>;
  readonly vfs: Pick<Vfs, 'homeName' | 'paths'>;
  bootMs(): number;
}

/** How long the metaserver has to say who is in the way. */
const ASK_MS = 1_000;
/** Explained at a time, oldest first. */
const EXPLAINED_MAX = 64;

const BECAUSE: Readonly<Record<number, Blocker['because']>> = {
  [ObstacleKind.HOLDER]: 'holds',
  [ObstacleKind.EARLIER]: 'earlier',
  [ObstacleKind.UNSETTLED]: 'unsettled',
  [ObstacleKind.EVICTED]: 'evicted',
};

type Answers = ReadonlyMap<bigint, WaitingOperation>;

/** A request, and what it has at the metaserver. */
interface Known {
  readonly stuck: StuckRequest;
  readonly asked: Unanswered | undefined;
}

export interface Asking {
  /** The metaserver is known not to answer at the moment. */
  readonly isSilent: boolean;
}

export class WhoWaits {
  readonly #options: WhoWaitsOptions;
  /** A question was given up, and the answer has not come since. */
  #isOwed = false;

  constructor(options: WhoWaitsOptions) {
    this.#options = options;
  }

  /** The first of them, within a second. */
  async explain(
    requests: readonly StuckRequest[],
    { isSilent }: Asking = { isSilent: false },
  ): Promise<WaitingRequest[]> {
    if (requests.length === 0) return [];
    const stuck = requests.slice(0, EXPLAINED_MAX);
    const unanswered = [...this.#options.session.unanswered()];
    const known = stuck.map((each) => ({ stuck: each, asked: askedFor(each, unanswered) }));
    const ids = known.flatMap(({ asked }) => asked?.id ?? []);
    const answers = isSilent ? undefined : await this.#ask([...new Set(ids)]);
    const path = this.#options.vfs.paths();
    return known.map((each) => {
      const { ino, ms, op } = each.stuck;
      const name = nameIn(each.asked?.op, ino);
      const place = path(ino);
      const whole = name === undefined || place === '' ? (name ?? place) : `${place}/${name}`;
      const shown = Buffer.from(nameToBytes(whole)).toString('utf8');
      return waitingRequest({ op, ms, ino, path: shown }, this.#cause(each, answers));
    });
  }

  /** @returns undefined when it does not answer */
  async #ask(ids: bigint[]): Promise<Answers | undefined> {
    const { session } = this.#options;
    if (ids.length === 0 || !session.up || this.#isOwed) return undefined;
    let isSettled = false;
    const answer = session.request({ $case: 'waits', value: { ids } }).finally(() => {
      isSettled = true;
      this.#isOwed = false;
    });
    try {
      const result = await within(answer, ASK_MS, 'asking who is in the way');
      if (result.$case !== 'waits') throw new FsError('EPROTO', 'not who is in the way');
      return new Map(result.value.operations.map((operation) => [operation.id, operation]));
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      // One that is older than this question has answered too.
      if (error.code === 'EPROTO') return new Map();
      this.#isOwed = !isSettled;
      return undefined;
    }
  }

  #cause({ asked, stuck }: Known, answers: Answers | undefined): Cause {
    if (asked !== undefined) return this.#causeThere(asked, answers);
    const { for: what, ino } = stuck;
    if (typeof what === 'object') return { kind: 'lease', blockers: [], more: 0 };
    if (what?.startsWith('peer ') === true) return { kind: 'home', node: what.slice(5) };
    if (what === 'disk') return { kind: 'disk' };
    // What is under way with a file and not at the metaserver is at its home, or here.
    const home = this.#options.vfs.homeName(ino);
    return home === undefined ? { kind: 'here' } : { kind: 'home', node: home };
  }

  #causeThere({ id, sinceMs }: Unanswered, answers: Answers | undefined): Cause {
    const operation = answers?.get(id);
    if (operation === undefined) {
      const ms = this.#options.bootMs() - sinceMs;
      return { kind: 'metaserver', ms, answers: answers !== undefined };
    }
    const { more, obstacles } = operation;
    if (obstacles.length === 0) return { kind: 'metaserver', ms: 0, answers: true };
    return { kind: 'lease', blockers: obstacles.map(blockerOf), more };
  }
}

/** What a request waits for at the metaserver; undefined: nothing. */
function askedFor(
  { context, for: what, ino }: StuckRequest,
  unanswered: readonly Unanswered[],
): Unanswered | undefined {
  if (what === 'disk' || (typeof what === 'string' && what.startsWith('peer '))) return undefined;
  if (typeof what === 'object') {
    if ('lock' in what) return undefined;
    return unanswered.find(
      ({ op }) => op?.$case === 'lease' && Number(op.value.ino) === what.lease,
    );
  }
  const own = unanswered.find(({ waiter }) => waiter === context);
  if (own !== undefined || what === 'metaserver') return own;
  return unanswered.find(({ op }) => changes(op, ino));
}

/** What others who ask about the inode here wait for to be over. */
function changes(op: Operation | undefined, ino: number): boolean {
  if (op?.$case === 'flushAttr' || op?.$case === 'setattr') return Number(op.value.ino) === ino;
  if (op?.$case === 'remove' || op?.$case === 'rename') return Number(op.value.knownIno) === ino;
  return false;
}

/** The name in directory `ino` that an operation is about. */
function nameIn(op: Operation | undefined, ino: number): string | undefined {
  if (op === undefined) return undefined;
  const { value } = op;
  if ('name' in value && Number(value.parent) === ino) return nameFromBytes(value.name);
  if (op.$case === 'link' && Number(op.value.newParent) === ino) {
    return nameFromBytes(op.value.newName);
  }
  return undefined;
}

function blockerOf({ homes, ino, kind, nodeName, own, recalledMs, restMs }: WireObstacle): Blocker {
  const because = BECAUSE[kind] ?? 'holds';
  const ms = safeInteger(because === 'evicted' ? restMs : recalledMs);
  return { node: nodeName, own, because, ino: safeInteger(ino), ms, homes };
}
