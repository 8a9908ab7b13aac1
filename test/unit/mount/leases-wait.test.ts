import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { Leases } from '../../../src/mount/leases.ts';
import { FakeKernelCache } from '../../support/fake-kernel-cache.ts';
import { leasedFiles } from '../../support/leased-files.ts';

const INO = asIno(1024);

function leasesOf(waitMs: number): { leases: Leases; asked: string[] } {
  const asked: string[] = [];
  const leases = new Leases({
    kernel: new FakeKernelCache(),
    log: silentLogger,
    waitMs,
    bootMs: () => 0,
    endMs: () => 10_000,
    ask: async (_ino, kind) => {
      asked.push(kind);
    },
    release: () => Promise.resolve(),
    glimpsed: () => Promise.resolve(),
  });
  leases.files = leasedFiles({
    // The metaserver is away.
    publish: () => new Promise(() => undefined),
  });
  return { leases, asked };
}

test('a request behind a lease that cannot be given up fails within the bound', async (t) => {
  const { leases, asked } = leasesOf(50);
  t.after(() => leases.close());
  leases.granted(INO, { kind: 'exclusive', lseq: 7 });
  leases.recalled({ ino: BigInt(INO), lseq: 7n, keepShared: false });
  const began = performance.now();
  await assert.rejects(leases.use(undefined, INO, 'exclusive') ?? Promise.resolve(), {
    code: 'EIO',
  });
  assert.ok(performance.now() - began >= 45);
  assert.deepEqual(asked, [], 'its lease was not asked for yet');
});

test('an eviction ends what it waits for, and it asks in the next session', async (t) => {
  const { leases, asked } = leasesOf(60_000);
  t.after(() => leases.close());
  leases.granted(INO, { kind: 'exclusive', lseq: 7 });
  leases.recalled({ ino: BigInt(INO), lseq: 7n, keepShared: false });
  const used = leases.use(undefined, INO, 'exclusive');
  leases.evicted();
  assert.deepEqual(asked, ['exclusive']);
  leases.granted(INO, { kind: 'exclusive', lseq: 8 });
  await used;
});
