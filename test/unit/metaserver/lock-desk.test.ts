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
  return { $case: 'lock', value: { lock: { ...FILE, ...lock }, ticket, again } };
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

describe('a lock at the metaserver', () => {
  it('is refused while another mount has it, and granted in turn to who waits', async () => {
    const { ada, bob, life } = await twoMounts();
    const eve = await LeaseMount.open(life, 'eve');
    assert.equal(waits(await ada.ask(lockOp())), false);
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
    await ada.ask(lockOp());
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
    await ada.ask(lockOp({ flock: false, end: 9n }));
    assert.equal((await bob.ask(lockOp({ flock: false, start: 9n }))).outcome, 'EAGAIN');
    assert.equal((await bob.ask(lockOp({ flock: false, start: 10n }))).outcome, 'ok');
  });

  it('that is asked about is shown, and whose it is', async () => {
    const { ada, bob } = await twoMounts();
    const op: Op = { $case: 'testLock', value: { lock: { ...FILE, owner: 1n } } };
    const free = (await bob.ask(op)).reply?.result;
    assert.deepEqual(free, { $case: 'testLock', value: { lock: undefined, own: false } });
    await ada.ask(lockOp());
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
    await ada.ask(lockOp(first));
    await bob.ask(lockOp(second));
    assert.equal(waits(await ada.ask(lockOp(second, 1n))), true);
    assert.equal((await bob.ask(lockOp(first, 1n))).outcome, 'EDEADLK');
  });

  it('that makes no sense is refused', async () => {
    const { ada, founder } = await twoMounts();
    for (const wrong of [{ start: 2n, end: 1n }, { end: 2n ** 63n }, { ino: 0n }]) {
      assert.equal((await ada.ask(lockOp(wrong))).outcome, 'EINVAL');
    }
    const missing: Op = { $case: 'lock', value: { lock: undefined, ticket: 0n, again: false } };
    assert.equal((await ada.ask(missing)).outcome, 'EPROTO');
    assert.equal(await founder.request(lockOp()), 'EINVAL', 'a peer has no locks');
  });

  it('is listed with the machine that has it', async () => {
    const { ada, bob } = await twoMounts();
    await ada.ask(lockOp());
    await bob.ask(lockOp({}, 1n));
    const { reply } = await bob.ask({ $case: 'listLocks', value: {} });
    assert.ok(reply?.result?.$case === 'listLocks');
    const { locks, truncated } = reply.result.value;
    assert.equal(truncated, false);
    assert.deepEqual(
      locks.map(({ waits: does }) => does),
      [false, true],
    );
  });
});

describe('locks of a mount that is gone', () => {
  it('fall when it was silent for too long, somebody waits, and every home refuses it', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await ada.release(ino);
    await ada.ask(lockOp());
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
    await ada.ask(lockOp());
    await life.pass(GONE_MS);
    for (const other of [founder, bob]) other.keepAlive();
    assert.equal(ada.closed, undefined);
    assert.equal((await bob.ask(lockOp())).outcome, 'EAGAIN');
  });

  it('fall with its session, and when another process goes on with it', async () => {
    const { life, ada, bob } = await twoMounts();
    await ada.ask(lockOp());
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
  await before.ada.ask(lockOp());
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
