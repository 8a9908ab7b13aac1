/** Rule L2 where nothing fails: who waits for locks of a file is served in the order of arrival. */
import type { FileLock } from '../../../gen/meta.ts';
import type { FsError } from '../../../src/common/errno.ts';
import type { SessionId } from '../../../src/common/ids.ts';
import type { Operation } from '../../../src/common/rpc/session-client.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import type { Result } from '../../../src/metaserver/wire.ts';
import { Violation } from '../leases/checker.ts';
import type { World } from './world.ts';

interface Waiter {
  readonly sid: SessionId;
  readonly ticket: bigint;
  readonly lock: FileLock;
}

export class Turns {
  readonly #world: World;
  #waiting: Waiter[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  answered({ sid }: Session, op: Operation, outcome: Result | FsError): void {
    if (this.#world.faultRate > 0 || 'code' in outcome) return;
    if (op.$case === 'cancelLock') this.#take(sid, op.value.ticket);
    if (op.$case !== 'lock' || outcome.$case !== 'lock' || op.value.lock === undefined) return;
    const { lock, ticket } = op.value;
    // Who would not wait does not queue.
    if (op.value.tries) return;
    if (!outcome.value.waits) this.#passes({ sid, ticket, lock }, this.#waiting);
    else if (!this.#waiting.some((other) => other.sid === sid && other.ticket === ticket)) {
      this.#waiting.push({ sid, ticket, lock });
    }
  }

  granted(sid: SessionId, ticket: bigint): void {
    const at = this.#waiting.findIndex((other) => other.sid === sid && other.ticket === ticket);
    const waiter = this.#waiting[at];
    if (waiter === undefined) return;
    this.#passes(waiter, this.#waiting.slice(0, at));
    this.#waiting.splice(at, 1);
    this.#world.tally.count('L2 in turn');
  }

  #take(sid: SessionId, ticket: bigint): void {
    this.#waiting = this.#waiting.filter((other) => other.sid !== sid || other.ticket !== ticket);
  }

  #passes({ lock }: Waiter, earlier: readonly Waiter[]): void {
    if (this.#world.truth.hasHad(lock.pid, lock.flock ? 'flock' : 'posix')) return;
    const passed = earlier.find((other) => isInTheWay(other.lock, lock));
    if (passed === undefined) return;
    throw new Violation(`T5: pid ${lock.pid} is served before pid ${passed.lock.pid}`);
  }
}

function isInTheWay(one: FileLock, other: FileLock): boolean {
  if (one.ino !== other.ino || one.flock !== other.flock || one.pid === other.pid) return false;
  return one.start <= other.end && other.start <= one.end && (one.write || other.write);
}
