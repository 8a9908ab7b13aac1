import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Lock, type LockPlace, WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asIno, type Ino } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { RequestContext } from '../../../src/mount/driver/driver.ts';
import {
  type LockAnswer,
  type LockQuestion,
  type LockService,
  MountLocks,
} from '../../../src/mount/locks.ts';
import { nextTurns } from '../../support/random.ts';

const INO = asIno(1024);
const AWAY = new FsError('EIO', 'the metaserver did not answer');

function lockOf(owner: string, kind: Lock['kind'] = 'posix'): Lock {
  return { ino: INO, kind, type: 'write', owner, pid: 1, ...WHOLE_FILE };
}

function context(): RequestContext {
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

/** A metaserver that writes down what it is asked. */
class Script implements LockService {
  readonly asked: string[] = [];
  isAway = false;
  isValid = true;
  waits = false;
  cancels = true;
  refuses: FsError | undefined;
  late: Promise<void> | undefined;
  delegation: bigint | undefined;
  onLock: () => void = () => undefined;

  async lock(lock: Lock, { again, ticket, tries }: LockQuestion): Promise<LockAnswer> {
    const how = again === true ? 'again' : tries === true ? 'try' : 'lock';
    await this.#hear(`${how} ${lock.owner}${how === 'again' ? '' : ` ${ticket}`}`);
    this.onLock();
    await this.late;
    if (this.refuses !== undefined) throw this.refuses;
    return { waits: this.waits, delegation: this.delegation };
  }

  async unlock({ owner }: LockPlace): Promise<void> {
    await this.#hear(`unlock ${owner}`);
  }

  async testLock(): Promise<Lock | undefined> {
    await this.#hear('test');
    return undefined;
  }

  async cancelLock(ticket: bigint): Promise<boolean> {
    await this.#hear(`cancel ${ticket}`);
    return this.cancels;
  }

  async returnLocks(
    _ino: Ino,
    delegation: bigint | undefined,
    locks: readonly Lock[],
  ): Promise<void> {
    const owners = locks.map(({ owner }) => owner).join(' ');
    await this.#hear(`return ${delegation ?? 'none'}: ${owners}`);
  }

  async #hear(what: string): Promise<void> {
    this.asked.push(what);
    if (this.isAway) throw AWAY;
  }
}

function fixture(): { script: Script; locks: MountLocks; lost: Ino[] } {
  const script = new Script();
  const locks = new MountLocks({
    service: () => script,
    isValid: () => script.isValid,
    log: silentLogger,
  });
  const lost: Ino[] = [];
  locks.onLost = (ino) => lost.push(ino);
  return { script, locks, lost };
}

describe('a lock of a mount', () => {
  it('is asked for, and given up once', async () => {
    const { script, locks } = fixture();
    await locks.lock(context(), lockOf('1'), false);
    assert.equal(locks.has(INO), true);
    await locks.closed({ ino: INO, kind: 'posix', owner: '1' });
    await locks.closed({ ino: INO, kind: 'posix', owner: '1' });
    assert.deepEqual(script.asked, ['try 1 1', 'unlock 1']);
    assert.equal(locks.has(INO), false);
  });

  it('that somebody has is refused, and nothing has to be given up', async () => {
    const { script, locks } = fixture();
    script.refuses = new FsError('EAGAIN', 'it is locked');
    await assert.rejects(locks.lock(context(), lockOf('1'), false), { code: 'EAGAIN' });
    await locks.unlock(lockOf('1'));
    assert.deepEqual(script.asked, ['try 1 1']);
  });

  it('is waited for until it is granted', async () => {
    const { script, locks } = fixture();
    script.waits = true;
    const request = context();
    const waiting = locks.lock(request, lockOf('1'), true);
    await nextTurns(3);
    assert.deepEqual(request.waitsFor, { lock: INO });
    locks.granted(7n);
    assert.equal(locks.has(INO), false);
    locks.granted(1n);
    await waiting;
    assert.equal(locks.has(INO), true);
    assert.equal(request.waitsFor, undefined);
  });

  it('that is waited for may be interrupted', async () => {
    const { script, locks } = fixture();
    script.waits = true;
    const request = context();
    const waiting = locks.lock(request, lockOf('1'), true);
    await nextTurns(3);
    request.interrupt?.();
    await assert.rejects(waiting, { code: 'EINTR' });
    assert.deepEqual(script.asked, ['lock 1 1', 'cancel 1']);
    assert.equal(locks.has(INO), false);
  });

  it('that was granted before it was interrupted is had', async () => {
    const { script, locks } = fixture();
    Object.assign(script, { waits: true, cancels: false });
    const request = context();
    const waiting = locks.lock(request, lockOf('1'), true);
    await nextTurns(3);
    request.interrupt?.();
    locks.granted(1n);
    await waiting;
    assert.equal(locks.has(INO), true);
  });

  it('that nobody knows of after an interruption is given up', async () => {
    const { script, locks } = fixture();
    Object.assign(script, { waits: true, cancels: false });
    const request = context();
    const waiting = locks.lock(request, lockOf('1'), true);
    await nextTurns(3);
    request.interrupt?.();
    await assert.rejects(waiting, { code: 'EINTR' });
    script.waits = false;
    await locks.lock(context(), lockOf('2'), false);
    const rest = script.asked.slice(2);
    assert.deepEqual(rest, ['cancel 1', 'unlock 1', 'try 2 2'], 'before anything else');
  });

  it('that is converted under flock(2) is given up first, whatever comes of it', async () => {
    const { script, locks } = fixture();
    await locks.lock(context(), lockOf('1', 'flock'), false);
    script.refuses = new FsError('EAGAIN', 'it is locked');
    const shared: Lock = { ...lockOf('1', 'flock'), type: 'read' };
    await assert.rejects(locks.lock(context(), shared, false), { code: 'EAGAIN' });
    assert.equal(locks.has(INO), false);
  });

  it('that is asked for once more is had all the time', async () => {
    const { script, locks } = fixture();
    await locks.lock(context(), lockOf('1', 'flock'), false);
    await locks.lock(context(), lockOf('1', 'flock'), true);
    assert.deepEqual(script.asked, ['try 1 1']);
  });
});

describe('a metaserver that is away', () => {
  it('is told later what was unlocked, before it is asked for anything', async () => {
    const { script, locks } = fixture();
    await locks.lock(context(), lockOf('1'), false);
    script.isAway = true;
    await locks.unlock(lockOf('1'));
    await assert.rejects(locks.lock(context(), lockOf('1'), false), { code: 'EIO' });
    script.isAway = false;
    script.asked.length = 0;
    await locks.lock(context(), lockOf('1'), false);
    assert.deepEqual(script.asked, ['unlock 1', 'try 1 2']);
    assert.equal(locks.has(INO), true);
  });

  it('is told to forget what it may have granted', async () => {
    const { script, locks } = fixture();
    script.onLock = () => {
      script.onLock = () => undefined;
      throw AWAY;
    };
    await assert.rejects(locks.lock(context(), lockOf('1'), true), { code: 'EIO' });
    locks.resumed();
    await nextTurns(5);
    assert.deepEqual(script.asked, ['lock 1 1', 'cancel 1', 'unlock 1']);
  });

  it('is asked once more for what is waited for, when it is back', async () => {
    const { script, locks } = fixture();
    script.waits = true;
    const waiting = locks.lock(context(), lockOf('1'), true);
    await nextTurns(3);
    locks.resumed();
    await nextTurns(3);
    script.waits = false;
    locks.resumed();
    await waiting;
    assert.deepEqual(script.asked, ['lock 1 1', 'lock 1 1', 'lock 1 1']);
  });

  it('may say late that it granted what was taken back: nobody has it', async () => {
    const { script, locks } = fixture();
    script.waits = true;
    const request = context();
    const waiting = locks.lock(request, lockOf('1'), true);
    await nextTurns(3);
    // It answers late, when all mounts have said what they have.
    const late = deferred<void>();
    script.late = late.promise;
    locks.resumed();
    await nextTurns(1);
    request.interrupt?.();
    await assert.rejects(waiting, { code: 'EINTR' });
    script.waits = false;
    late.resolve();
    await nextTurns(5);
    assert.deepEqual(script.asked, ['lock 1 1', 'lock 1 1', 'cancel 1']);
    assert.equal(locks.has(INO), false);
  });

  it('hears what is locked when it began anew, and nothing of what is not', async () => {
    const { script, locks } = fixture();
    await locks.lock(context(), lockOf('1'), false);
    await locks.lock(context(), lockOf('2'), false);
    await locks.unlock(lockOf('1'));
    script.asked.length = 0;
    await locks.say();
    assert.deepEqual(script.asked, ['again 2']);
  });

  it('may have given it to somebody else: then who relied on it is told', async () => {
    const { script, locks, lost } = fixture();
    await locks.lock(context(), lockOf('1'), false);
    script.refuses = new FsError('EAGAIN', 'it is locked');
    await locks.say();
    assert.deepEqual(lost, [INO]);
  });
});

describe('a file that is delegated', () => {
  async function delegated(): Promise<ReturnType<typeof fixture>> {
    const made = fixture();
    made.script.delegation = 7n;
    await made.locks.lock(context(), lockOf('1'), true);
    made.script.delegation = undefined;
    made.script.asked.length = 0;
    return made;
  }

  it('is locked and unlocked without a word', async () => {
    const { script, locks } = await delegated();
    await locks.unlock(lockOf('1'));
    await locks.lock(context(), lockOf('2'), true);
    await assert.rejects(locks.lock(context(), lockOf('1'), false), { code: 'EAGAIN' });
    assert.equal((await locks.test(context(), lockOf('1')))?.owner, '2');
    assert.deepEqual(script.asked, []);
  });

  it('is given back when it is called for, with what is locked', async () => {
    const { script, locks } = await delegated();
    locks.recalled(INO);
    await nextTurns(3);
    await locks.unlock(lockOf('1'));
    assert.deepEqual(script.asked, ['return 7: 1', 'unlock 1']);
  });

  it('is given back by who would have to wait', async () => {
    const { script, locks } = await delegated();
    script.waits = true;
    const waiting = locks.lock(context(), lockOf('2'), true);
    await nextTurns(3);
    assert.deepEqual(script.asked, ['return 7: 1', 'lock 2 2']);
    locks.granted(2n);
    await waiting;
  });

  it('is asked for again where this mount may not decide any more', async () => {
    const { script, locks } = await delegated();
    script.isValid = false;
    script.onLock = () => {
      script.isValid = true;
    };
    await locks.lock(context(), lockOf('1'), true);
    assert.deepEqual(script.asked, ['return 7: 1', 'lock 1 2']);
  });

  it('is not known here: what the metaserver knows stands', async () => {
    const { script, locks } = fixture();
    await locks.lock(context(), lockOf('1'), false);
    locks.recalled(INO);
    await nextTurns(3);
    assert.deepEqual(script.asked, ['try 1 1', 'return none: ']);
  });

  it('is called for while it is being delegated', async () => {
    const { script, locks } = fixture();
    script.delegation = 7n;
    script.onLock = () => locks.recalled(INO);
    await locks.lock(context(), lockOf('1'), false);
    await nextTurns(3);
    assert.deepEqual(script.asked, ['try 1 1', 'return 7: 1'], 'after it is known what it has');
  });

  it('is not delegated by a metaserver that began anew', async () => {
    const { script, locks } = await delegated();
    locks.restarted();
    await locks.unlock(lockOf('1'));
    assert.deepEqual(script.asked, ['unlock 1']);
  });
});

describe('the end of a session', () => {
  it('loses every lock, and says of which files', async () => {
    const { script, locks, lost } = fixture();
    await locks.lock(context(), lockOf('1'), false);
    locks.evicted();
    assert.deepEqual(lost, [INO]);
    assert.equal(locks.has(INO), false);
    script.asked.length = 0;
    await locks.closed({ ino: INO, kind: 'posix', owner: '1' });
    assert.deepEqual(script.asked, []);
  });

  it('asks again for what is waited for in the next one', async () => {
    const { script, locks } = fixture();
    script.waits = true;
    const waiting = locks.lock(context(), lockOf('1'), true);
    await nextTurns(3);
    locks.evicted();
    script.waits = false;
    locks.resumed();
    await waiting;
    assert.equal(locks.has(INO), true);
  });
});
