import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { InspectReply } from '../../../gen/meta.ts';
import { WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { chmodOp, type LeaseMount, lookupOp } from './lease-rig.ts';
import { makeOp } from './rig.ts';
import { twoMounts } from './two-mounts.ts';

async function inspected(mount: LeaseMount, ino: bigint): Promise<InspectReply> {
  const { outcome, reply } = await mount.ask({ $case: 'inspect', value: { ino } });
  assert.ok(reply?.result?.$case === 'inspect', outcome);
  return reply.result.value;
}

it('tells where a file lies, and who writes and remembers it', async () => {
  const { ada, bob, ino } = await twoMounts();
  const written = await inspected(bob, ino);
  assert.equal(written.attr?.ino, ino);
  assert.deepEqual([written.homeName, written.homeUp, written.rg > 0n], ['founder', true, true]);
  assert.deepEqual(
    written.leases.map(({ exclusive, recalled }) => [exclusive, recalled]),
    [[true, false]],
  );
  const look = await bob.ask(lookupOp('file'));
  assert.equal(look.outcome, 'waits');
  assert.equal((await inspected(bob, ino)).leases[0]?.recalled, true);
  await ada.release(ino, { open: true });
  assert.equal(look.outcome, 'ok');
  const { leases, openers } = await inspected(bob, ino);
  assert.deepEqual([leases.length, leases[0]?.exclusive, openers.length], [1, false, 1]);
  assert.equal((await bob.ask(chmodOp(ino, 0o600))).outcome, 'ok', 'looking takes nothing');
});

it('tells who has locked it, and who decides about that', async () => {
  const { ada, bob, ino } = await twoMounts();
  const lock = { ino, flock: true, write: true, owner: 1n, pid: 1, ...WHOLE_FILE };
  await ada.ask({ $case: 'lock', value: { lock, ticket: 0n, again: false, tries: true } });
  assert.notEqual((await inspected(bob, ino)).lockDecider, '');
  ada.locked = [lock];
  await bob.ask({ $case: 'lock', value: { lock, ticket: 1n, again: false, tries: false } });
  const { lockDecider, locks, waitingLocks } = await inspected(bob, ino);
  assert.deepEqual([lockDecider, locks, waitingLocks], ['', 1, 1]);
});

it('says of a directory that it has no home, and of nothing that it is not there', async () => {
  const { ada } = await twoMounts();
  const { reply } = await ada.ask(makeOp('dir', 0o40755));
  assert.ok(reply?.result?.$case === 'make');
  const { homeName, rg } = await inspected(ada, reply.result.value.attr?.ino ?? 0n);
  assert.deepEqual([homeName, rg], ['', 0n]);
  assert.equal((await ada.ask({ $case: 'inspect', value: { ino: 9_999n } })).outcome, 'ENOENT');
});
