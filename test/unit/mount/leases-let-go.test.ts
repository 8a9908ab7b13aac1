import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno, type Ino } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { Leases } from '../../../src/mount/leases.ts';
import { FakeKernelCache } from '../../support/fake-kernel-cache.ts';
import { leasedFiles } from '../../support/leased-files.ts';

const INO = asIno(1024);
const GIVEN_UP = asIno(1025);
const WAIT_MS = 60_000;

/** It holds a page of one file for a read, and forgets that file when it is answered. */
class WaitingKernel extends FakeKernelCache {
  readonly answered = deferred<void>();

  override forget(ino: Ino): Promise<void> {
    const forgotten = super.forget(ino);
    return ino === INO ? this.answered.promise : forgotten;
  }
}

function leasesOf(kernel: FakeKernelCache): Leases {
  const leases = new Leases({
    kernel,
    log: silentLogger,
    waitMs: WAIT_MS,
    bootMs: () => 0,
    endMs: () => 10_000,
    // Nobody gets a lease before every mount has let go.
    ask: () => new Promise(() => undefined),
    release: () => Promise.resolve(),
    glimpsed: () => Promise.resolve(),
  });
  leases.files = leasedFiles({ mayWrite: () => false });
  return leases;
}

test('a mount lets go although its kernel waits for a read that waits for a lease', async () => {
  const kernel = new WaitingKernel();
  const leases = leasesOf(kernel);
  leases.granted(INO, { kind: 'shared', lseq: 7 });
  leases.expire();
  const read = leases.run(undefined, INO, 'shared', () => kernel.answered.resolve());
  await leases.letGo();
  await read;
  assert.deepEqual(kernel.forgotten, [INO, INO], 'once more: it was told something meanwhile');
  leases.close();
});

test('what was given up before is forgotten already, whoever waits for it', async () => {
  const kernel = new WaitingKernel();
  const leases = leasesOf(kernel);
  leases.granted(GIVEN_UP, { kind: 'shared', lseq: 7 });
  leases.recalled({ ino: BigInt(GIVEN_UP), lseq: 7n, keepShared: false });
  while (leases.count > 0) await new Promise(setImmediate);
  let isRead = false;
  const read = leases.run(undefined, GIVEN_UP, 'shared', () => {
    isRead = true;
  });
  assert.ok(read instanceof Promise);
  await leases.letGo();
  assert.deepEqual(kernel.forgotten, [GIVEN_UP]);
  assert.equal(isRead, false);
  leases.close();
});
