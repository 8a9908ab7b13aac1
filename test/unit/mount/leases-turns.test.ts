import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { asIno } from '../../../src/common/ids.ts';
import { delay } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { TURN_MS } from '../../../src/mount/core/lease-turns.ts';
import { Leases } from '../../../src/mount/leases.ts';
import { FakeKernelCache } from '../../support/fake-kernel-cache.ts';
import { leasedFiles } from '../../support/leased-files.ts';

const INO = asIno(1024);
const RECALL = { ino: BigInt(INO), lseq: 7n, keepShared: false };

interface World {
  readonly leases: Leases;
  readonly released: number[];
  nowMs: number;
}

/** Its lease was waited for. */
async function waited(t: TestContext): Promise<World> {
  const released: number[] = [];
  const leases: Leases = new Leases({
    kernel: new FakeKernelCache(),
    log: silentLogger,
    waitMs: 1_000,
    bootMs: () => world.nowMs,
    endMs: () => 10_000,
    ask: async () => leases.granted(INO, { kind: 'exclusive', lseq: 7 }),
    release: async (releases) => {
      released.push(...releases.filter(({ progress }) => !progress).map(({ lseq }) => lseq));
    },
    glimpsed: () => Promise.resolve(),
  });
  const world: World = { leases, released, nowMs: 0 };
  leases.files = leasedFiles();
  t.after(() => leases.close());
  await leases.use(undefined, INO, 'exclusive');
  leases.done(INO);
  return world;
}

test('a lease that is called back while it is used stays for a turn', async (t) => {
  const world = await waited(t);
  const { leases, released } = world;
  leases.recalled(RECALL);
  for (let uses = 1; world.nowMs < TURN_MS - 1; uses += 1) {
    assert.equal(leases.use(undefined, INO, 'exclusive'), undefined, `waits at ${world.nowMs}`);
    leases.done(INO);
    world.nowMs += 0.2;
    // It is looked at meanwhile, a few times.
    if (uses % 20 === 0) await delay(2);
  }
  assert.deepEqual(released, []);
  world.nowMs += 1;
  await delay(20);
  assert.deepEqual(released, [7]);
});

test('a turn ends also where the clock stands still', async (t) => {
  const { leases, released } = await waited(t);
  leases.recalled(RECALL);
  await delay(100);
  assert.deepEqual(released, [7]);
});

test('one that nobody uses goes at once', async (t) => {
  const world = await waited(t);
  world.nowMs = 1;
  world.leases.recalled(RECALL);
  await delay(0);
  assert.deepEqual(world.released, [7]);
});

test('a recall that waits for a turn ends with its session', async (t) => {
  const world = await waited(t);
  world.leases.recalled(RECALL);
  world.leases.evicted();
  world.leases.granted(INO, { kind: 'exclusive', lseq: 9 });
  await delay(20);
  assert.deepEqual(world.released, []);
  assert.equal(world.leases.mayWrite(INO), true);
});
