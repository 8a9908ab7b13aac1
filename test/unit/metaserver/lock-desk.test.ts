import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileLock } from '../../../gen/meta.ts';
import { WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { GONE_MS } from '../../../src/metaserver/session.ts';
import { type Asked, LeaseMount, settledOp } from './lease-rig.ts';
import { Member } from './member.ts';
import type { Op } from './rig.ts';
import { FOUNDER, twoMounts } from './two-mounts.ts';

const FILE: FileLock = {
  ino: 5000n,
  flock: true,
  write: true,
  owner: 2n ** 64n - 1n,
  pid: 7,
  ...WHOLE_FILE,
};

function lockOp(lock: Partial<FileLock> = {}, ticket = 0n, again = false): Op {
  return {
    $case: 'lock',
    value: { lock: { ...FILE, ...lock }, ticket, again, tries: ticket === 0n },
  };
}

function unlockOp({ end, flock, ino, owner, start }: FileLock = FILE): Op {
  return { $case: 'unlock', value: { ino, flock, owner, start, end } };
}

function cancelOp(ticket: bigint): Op {
  return { $case: 'cancelLock', value: { ticket } };
}

function waits({ outcome, reply }: Asked): boolean {
  assert.ok(reply?.result?.$case === 'lock', outcome);
  return reply.result.value.waits;
}

/** It gets it, and says so when it is called. */
async function locks(mount: LeaseMount, lock: Partial<FileLock> = {}): Promise<bigint> {
  const { outcome, reply } = await mount.ask(lockOp(lock));
  assert.ok(reply?.result?.$case === 'lock', outcome);
  assert.equal(reply.result.value.waits, false);
  mount.locked?.push({ ...FILE, ...lock });
  return reply.result.value.delegation;
}

describe('a lock at the metaserver', () => {
  it('is refused while another mount has it, and granted in turn to who waits', async () => {
    const { ada, bob, life } = await twoMounts();
    const eve = await LeaseMount.open(life, 'eve');
    await locks(ada);
    assert.equal((await bob.ask(lockOp())).outcome, 'EAGAIN');
    assert.equal(waits(await bob.ask(lockOp({}, 1n))), true);
    assert.equal(waits(await eve.ask(lockOp({}, 1n))), true);
    assert.equal(waits(await bob.ask(lockOp({}, 1n))), true, 'asked once more');
    await ada.ask(unlockOp());
    assert.deepEqual([bob.log.includes('locked 1'), eve.log.includes('locked 1')], [true, false]);
    assert.equal(waits(await bob.ask(lockOp({}, 1n))), false, 'what was not heard is said again');
    await bob.ask(unlockOp());
    assert.ok(eve.log.includes('locked 1'));
  });

  it('may be given up while it is waited for', async () => {
    const { ada, bob } = await twoMounts();
    await locks(ada);
    await bob.ask(lockOp({}, 9n));
    for (const cancelled of [true, false]) {
      const { reply } = await bob.ask(cancelOp(9n));
      assert.deepEqual(reply?.result, { $case: 'cancelLock', value: { cancelled } });
    }
    await ada.ask(unlockOp());
    assert.equal(bob.log.includes('locked 9'), false);
  });

  it('of two mounts with the same number for an owner is not the same', async () => {
    const { ada, bob } = await twoMounts();
    await locks(ada, { flock: false, end: 9n });
    assert.equal((await bob.ask(lockOp({ flock: false, start: 9n }))).outcome, 'EAGAIN');
    assert.equal((await bob.ask(lockOp({ flock: false, start: 10n }))).outcome, 'ok');
  });

  it('that is asked about is shown, and whose it is', async () => {
    const { ada, bob } = await twoMounts();
    const op: Op = { $case: 'testLock', value: { lock: { ...FILE, owner: 1n } } };
    const free = (await bob.ask(op)).reply?.result;
    assert.deepEqual(free, { $case: 'testLock', value: { lock: undefined, own: false } });
    await locks(ada);
    for (const [mount, own] of [
      [ada, true],
      [bob, false],
    ] as const) {
      const asked: Asked = await mount.ask(op);
      assert.deepEqual(asked.reply?.result, { $case: 'testLock', value: { lock: FILE, own } });
    }
  });

  it('in a circle over two mounts is refused', async () => {
    const { ada, bob } = await twoMounts();
    const [first, second] = [
      { flock: false, end: 0n },
      { flock: false, start: 1n, end: 1n },
    ];
    await locks(ada, first);
    await locks(bob, second);
    assert.equal(waits(await ada.ask(lockOp(second, 1n))), true);
    assert.equal((await bob.ask(lockOp(first, 1n))).outcome, 'EDEADLK');
  });

  it('that makes no sense is refused', async () => {
    const { ada, founder } = await twoMounts();
    for (const wrong of [{ start: 2n, end: 1n }, { end: 2n ** 63n }, { ino: 0n }]) {
      assert.equal((await ada.ask(lockOp(wrong))).outcome, 'EINVAL');
    }
    const missing: Op = {
      $case: 'lock',
      value: { lock: undefined, ticket: 0n, again: false, tries: true },
    };
    assert.equal((await ada.ask(missing)).outcome, 'EPROTO');
    assert.equal(await founder.request(lockOp()), 'EINVAL', 'a peer has no locks');
  });

  it('is listed with the machine that has it', async () => {
    const { ada, bob } = await twoMounts();
    await locks(ada);
    await bob.ask(lockOp({}, 1n));
    const { reply } = await bob.ask({ $case: 'listLocks', value: {} });
    assert.ok(reply?.result?.$case === 'listLocks');
    const { locks: listed, truncated } = reply.result.value;
    assert.equal(truncated, false);
    assert.deepEqual(
      listed.map(({ waits: does }) => does),
      [false, true],
    );
  });
});

describe('locks that only one mount wants', () => {
  it('are its own business until another one asks', async () => {
    const { ada, bob } = await twoMounts();
    assert.ok((await locks(ada)) > 0n);
    assert.equal(await locks(bob, { ino: 6000n }).then((id) => id > 0n), true);
    const tried = await bob.ask(lockOp());
    assert.equal(tried.outcome, 'EAGAIN');
    assert.deepEqual(ada.log.at(-2), 'lock recall 5000');
    await ada.ask(unlockOp());
    assert.equal(await locks(bob), 0n, 'two have asked a moment ago');
  });

  it('are delegated again when nobody else has asked for a while', async () => {
    const { ada, bob, founder, life } = await twoMounts();
    await locks(ada);
    await bob.ask(lockOp());
    await life.pass(9_999);
    for (const mount of [ada, bob, founder]) mount.keepAlive();
    assert.equal(await locks(ada), 0n);
    await life.pass(1);
    assert.ok((await locks(ada)) > 0n);
  });

  it('are waited for until the mount says what it has, however it is asked', async () => {
    const { ada, bob } = await twoMounts();
    ada.locked = undefined;
    const delegation = await locks(ada);
    const [tried, tested] = [
      await bob.ask(lockOp()),
      await bob.ask({ $case: 'testLock', value: { lock: FILE } }),
    ];
    assert.deepEqual([tried.outcome, tested.outcome], ['waits', 'waits']);
    assert.equal(ada.log.filter((line) => line === 'lock recall 5000').length, 1, 'once');
    await ada.ask({ $case: 'returnLocks', value: { ino: 5000n, delegation: 7n, locks: [FILE] } });
    assert.equal(tried.outcome, 'waits', 'of another delegation');
    await ada.ask({ $case: 'returnLocks', value: { ino: 5000n, delegation, locks: [] } });
    assert.deepEqual([tried.outcome, tested.outcome], ['ok', 'ok']);
  });

  it('stay as they are known where the mount knows of no delegation', async () => {
    const { ada, bob } = await twoMounts();
    ada.locked = undefined;
    await locks(ada);
    const tried = await bob.ask(lockOp());
    await ada.ask({ $case: 'returnLocks', value: { ino: 5000n, delegation: 0n, locks: [] } });
    assert.equal(tried.outcome, 'EAGAIN');
  });

  it('are not had by who has taken his request back meanwhile', async () => {
    const { ada, bob } = await twoMounts();
    ada.locked = undefined;
    const delegation = await locks(ada);
    const asked = await bob.ask(lockOp({}, 4n));
    assert.equal(asked.outcome, 'waits');
    assert.deepEqual((await bob.ask(cancelOp(4n))).reply?.result?.value, { cancelled: true });
    assert.equal(asked.outcome, 'EINTR', 'it would be sent again');
    await ada.ask({ $case: 'returnLocks', value: { ino: 5000n, delegation, locks: [] } });
    assert.equal((await ada.ask(lockOp())).outcome, 'ok');
  });

  it('are called for once more on a new stream', async () => {
    const { life, ada, bob } = await twoMounts();
    ada.locked = undefined;
    await locks(ada);
    const tried = await bob.ask(lockOp());
    ada.locked = [FILE];
    life.engine.attach(ada.session, () => undefined);
    await life.settled();
    assert.equal(tried.outcome, 'EAGAIN');
  });

  it('fall when the mount does not say what it has for 10 s', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await ada.release(ino);
    ada.locked = undefined;
    await locks(ada);
    const tried = await bob.ask(lockOp());
    await life.pass(9_999);
    for (const mount of [ada, bob, founder]) mount.keepAlive();
    assert.equal(ada.closed, undefined);
    await life.pass(1);
    assert.equal(ada.closed, 'evicted');
    await life.pass(GONE_MS);
    assert.equal(tried.outcome, 'ok');
  });

  it('are listed when their mount has said them, or a second later as they were', async () => {
    const { life, ada, bob } = await twoMounts();
    await locks(ada);
    const list: Op = { $case: 'listLocks', value: {} };
    assert.equal((await bob.ask(list)).outcome, 'ok');
    ada.locked = undefined;
    await locks(ada, { ino: 6000n });
    const asked = await bob.ask(list);
    assert.equal(asked.outcome, 'waits');
    await life.pass(1_000);
    assert.equal(asked.outcome, 'ok');
  });

  it('are not delegated to a mount before all have said what they have', async () => {
    const before = await twoMounts();
    const life = await before.life.next();
    await Member.peer(life, FOUNDER);
    const ada = await LeaseMount.open(life, 'ada');
    const { reply } = await ada.ask(lockOp({}, 0n, true));
    assert.ok(reply?.result?.$case === 'lock');
    assert.equal(reply.result.value.delegation, 0n);
  });
});

describe('locks of a mount that is gone', () => {
  it('fall when it was silent for too long, somebody waits, and every home refuses it', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await ada.release(ino);
    await locks(ada);
    await bob.ask(lockOp({}, 1n));
    await life.pass(GONE_MS - 1);
    for (const other of [founder, bob]) other.keepAlive();
    assert.equal(ada.closed, undefined);
    await life.pass(1);
    assert.equal(ada.closed, 'evicted');
    assert.ok(bob.log.includes('locked 1'), 'it had written nothing');
  });

  it('stay while nobody waits for them', async () => {
    const { life, founder, ada, bob } = await twoMounts();
    await locks(ada);
    await life.pass(GONE_MS);
    for (const other of [founder, bob]) other.keepAlive();
    assert.equal(ada.closed, undefined);
    assert.equal((await bob.ask(lockOp())).outcome, 'EAGAIN');
  });

  it('fall with its session, and when another process goes on with it', async () => {
    const { life, ada, bob } = await twoMounts();
    await locks(ada);
    await bob.ask(lockOp({}, 1n));
    const again = await LeaseMount.open(life, 'ada', 2n, [1n]);
    assert.ok(bob.log.includes('locked 1'));
    await again.ask(lockOp({}, 2n));
    await bob.ask({ $case: 'leave', value: {} });
    await life.pass(0);
    assert.ok(again.log.includes('locked 2'));
  });
});

it('a metaserver that began anew hears of every lock before it grants one', async () => {
  const before = await twoMounts();
  await locks(before.ada);
  const life = await before.life.next();
  await Member.peer(life, FOUNDER);
  const [ada, bob] = [await LeaseMount.open(life, 'ada'), await LeaseMount.open(life, 'bob')];
  const early = await bob.ask(lockOp({}, 1n));
  await bob.ask(settledOp());
  assert.equal(early.outcome, 'waits');
  assert.equal(waits(await ada.ask(lockOp({}, 0n, true))), false);
  await ada.ask(settledOp());
  assert.equal(waits(early), true);
  await ada.ask(unlockOp());
  assert.ok(bob.log.includes('locked 1'));
});
