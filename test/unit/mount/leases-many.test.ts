import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { LEASES_MAX, Leases } from '../../../src/mount/leases.ts';
import type { LeaseRelease } from '../../../src/mount/meta-client.ts';
import { FakeKernelCache } from '../../support/fake-kernel-cache.ts';
import { leasedFiles } from '../../support/leased-files.ts';

test('a mount that looks at more than it may hold gives up what it used least', async () => {
  const kernel = new FakeKernelCache();
  const releases: LeaseRelease[] = [];
  const forgotten: Ino[] = [];
  const leases = new Leases({
    kernel,
    log: silentLogger,
    waitMs: 60_000,
    bootMs: () => 0,
    endMs: () => 10_000,
    ask: () => Promise.resolve(),
    release: (given) => {
      releases.push(...given);
      return Promise.resolve();
    },
    glimpsed: () => Promise.resolve(),
  });
  leases.files = leasedFiles({
    isOpen: () => false,
    mayWrite: () => false,
    isDirectory: (ino) => ino === ROOT_INO,
    forget: (ino) => forgotten.push(ino),
  });
  const first = asIno(1024);
  for (let index = 0; index < LEASES_MAX + 10; index += 1) {
    const ino = index === 0 ? ROOT_INO : asIno(first + index - 1);
    leases.granted(ino, { kind: 'shared', lseq: index + 1 });
    // Every look passes the root.
    assert.equal(leases.use(undefined, ROOT_INO, 'shared'), undefined);
    leases.done(ROOT_INO);
  }
  assert.ok(leases.count >= LEASES_MAX, 'nothing is given up before the kernel has forgotten it');
  while (leases.count > LEASES_MAX) await new Promise(setImmediate);
  assert.equal(releases.length, LEASES_MAX + 10 - leases.count);
  assert.ok(releases.length >= 10 && releases.length <= 1_000, `${releases.length} given up`);
  const given = releases.map(({ ino }) => ino);
  assert.deepEqual(given, kernel.forgotten, 'the kernel first');
  assert.deepEqual(given, forgotten, 'and this process');
  assert.equal(given[0], first, 'the root is used all the time');
  assert.ok(leases.holds(ROOT_INO));
  assert.ok(releases.every(({ keep }) => keep === 'nothing'));
  leases.close();
});
