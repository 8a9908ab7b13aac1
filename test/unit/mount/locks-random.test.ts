/**
 * Several mounts lock and unlock at random through one metaserver: the real classes of both sides,
 * with messages that take their time, in order on each stream. Nobody may have what another one
 * has, and everybody must get what he waits for.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ManualClock } from '../../../src/common/clock.ts';
import { type Lock, type LockPlace, WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asEpoch, asIno, asSessionId, type Ino } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { Operation, OperationResult } from '../../../src/common/rpc/session-client.ts';
import { LockDesk } from '../../../src/metaserver/lock-desk.ts';
import { ReplyCache } from '../../../src/metaserver/reply-cache.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import { storeCodecs } from '../../../src/metaserver/store-codec.ts';
import type { RequestContext } from '../../../src/mount/driver/driver.ts';
import { MountLocks } from '../../../src/mount/locks.ts';
import { MetaClient } from '../../../src/mount/meta-client.ts';
import { nextTurns, Random } from '../../support/random.ts';
import { NODE } from '../../support/scripted-metaserver.ts';

const MOUNTS = 3;
const PROGRAMS = 4;
const FILES = 2;
const STEPS = 120;
const SEEDS = 40;

type Body = Parameters<NonNullable<Session['sink']>['push']>[0];

/** Messages of one direction: each takes its time, and none passes another. */
class Wire {
  readonly #random: Random;
  #last: Promise<void> = Promise.resolve();

  constructor(random: Random) {
    this.#random = random;
  }

  send(deliver: () => void): void {
    const turns = this.#random.below(6);
    this.#last = this.#last.then(() => nextTurns(turns)).then(deliver);
  }
}

/** Who has what, as programs see it. */
class Truth {
  readonly #held = new Map<string, Lock>();

  has(who: string, lock: Lock): void {
    for (const [other, held] of this.#held) {
      if (other === `${who} ${lock.ino} ${lock.kind}`) continue;
      const meets = held.ino === lock.ino && held.kind === lock.kind;
      const clash = held.type === 'write' || lock.type === 'write';
      assert.ok(!(meets && clash), `${who} and ${other} have ino ${lock.ino}`);
    }
    this.#held.set(`${who} ${lock.ino} ${lock.kind}`, lock);
  }

  gone(who: string, { ino, kind }: LockPlace): void {
    this.#held.delete(`${who} ${ino} ${kind}`);
  }
}

class SimMount {
  readonly locks: MountLocks;
  readonly #up: Wire;
  readonly #down: Wire;
  readonly #desk: LockDesk;
  readonly #session: Session;

  constructor(id: number, desk: LockDesk, random: Random, sessions: Map<number, Session>) {
    this.#desk = desk;
    this.#up = new Wire(random);
    this.#down = new Wire(random);
    const sid = asSessionId(id);
    this.#session = {
      sid,
      sepoch: asEpoch(1),
      nodeId: NODE,
      kind: 'mount',
      instance: 1n,
      follows: [],
      replies: new ReplyCache(sid, storeCodecs),
      sink: { push: (body) => this.#down.send(() => this.#heard(body)), close: () => undefined },
      ended: false,
      heardMs: 0,
    };
    sessions.set(id, this.#session);
    const meta = new MetaClient({ up: true, request: (op) => this.#request(op) });
    this.locks = new MountLocks({ service: () => meta, isValid: () => true, log: silentLogger });
  }

  #heard(body: Body): void {
    if (body.$case === 'lockGranted') this.locks.granted(body.value.ticket);
    if (body.$case === 'lockRecall') this.locks.recalled(asIno(body.value.ino));
  }

  #request(op: Operation): Promise<OperationResult> {
    const answer = deferred<OperationResult>();
    const done = (outcome: OperationResult | FsError): void => {
      this.#down.send(() => {
        if (outcome instanceof FsError) answer.reject(outcome);
        else answer.resolve(outcome);
      });
    };
    this.#up.send(() => {
      assert.ok(
        op.$case === 'lock' ||
          op.$case === 'unlock' ||
          op.$case === 'cancelLock' ||
          op.$case === 'returnLocks',
      );
      this.#desk.submit({ session: this.#session, op, done });
    });
    return answer.promise;
  }
}

function contextOf(): RequestContext {
  return {
    uid: 0,
    gid: 0,
    connection: 1,
    unique: 2,
    acked: () => 0,
    interrupt: undefined,
    interrupted: false,
    waitsFor: undefined,
  };
}

async function interruptSoon(context: RequestContext, random: Random): Promise<void> {
  await nextTurns(random.below(12));
  context.interrupted = true;
  context.interrupt?.();
}

/** A program: it locks one file at a time, so that nobody waits in a circle. */
async function program(mount: SimMount, who: string, random: Random, truth: Truth): Promise<void> {
  const owner = String(BigInt(random.below(2 ** 30)) * 1000n + BigInt(who.length));
  for (let step = 0; step < STEPS; step++) {
    const ino = asIno(1024 + random.below(FILES)) as Ino;
    const kind = random.pick(['flock', 'posix'] as const);
    const type = random.pick(['read', 'write', 'write'] as const);
    const lock: Lock = { ino, kind, type, owner, pid: 1, ...WHOLE_FILE };
    const context = contextOf();
    const waits = random.chance(0.7);
    const asked = mount.locks.lock(context, lock, waits);
    const interrupting = random.chance(0.2) ? interruptSoon(context, random) : undefined;
    try {
      await Promise.all([asked, interrupting]);
    } catch (error) {
      assert.ok(
        error instanceof FsError && ['EAGAIN', 'EINTR'].includes(error.code),
        String(error),
      );
      continue;
    }
    truth.has(who, lock);
    await nextTurns(random.below(8));
    truth.gone(who, lock);
    await mount.locks.unlock(lock);
  }
}

it('locks exclude each other, and everybody gets his turn', { timeout: 60_000 }, async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const sessions = new Map<number, Session>();
    const clock = new ManualClock();
    const desk = new LockDesk({
      clock,
      find: (sid) => sessions.get(sid),
      nameOf: () => 'node',
      onOverdue: () => assert.fail('nobody is late'),
    });
    const truth = new Truth();
    const mounts = Array.from(
      { length: MOUNTS },
      (_, id) => new SimMount(id + 1, desk, random, sessions),
    );
    const ticking = setInterval(() => clock.advance(500), 1);
    try {
      await Promise.all(
        mounts.flatMap((mount, at) =>
          Array.from({ length: PROGRAMS }, (_, n) =>
            program(mount, `program ${at}.${n}`, random, truth),
          ),
        ),
      );
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    } finally {
      clearInterval(ticking);
    }
  }
  t.diagnostic(`${SEEDS} seeds`);
});
