/**
 * fsync means stable: the state folder lies on a filesystem that forgets what was not synced.
 * The same test must fail when a sync is taken out of the product, so it is run again on copies
 * of the compiled program with one line changed.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DfsUnderTest } from '../support/dfs.ts';
import { FaultDisk } from '../support/fault-fs/fault-disk.ts';
import { type Mutation, mutant } from '../support/mutant.ts';
import { powerCut } from '../support/power-cut.ts';
import { Random } from '../support/random.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 2);

async function onFaultDisk(
  t: TestContext,
  program?: string,
): Promise<{ dfs: DfsUnderTest; disk: FaultDisk }> {
  const dfs = await DfsUnderTest.create(t, {}, program);
  const disk = new FaultDisk(dfs.dir);
  dfs.beforeRemoval(async () => {
    await disk.powerOff();
    await disk.unplug();
  });
  await disk.powerOn();
  dfs.stateDir = join(disk.mountpoint, 'state');
  await dfs.mount();
  return { dfs, disk };
}

test(`what was fsynced or acknowledged survives ${ROUNDS} power cuts`, async (t) => {
  const random = Random.fromEnvironment();
  const { dfs, disk } = await onFaultDisk(t);
  for (let round = 0; round < ROUNDS; round++) {
    const { verdicts, restart } = await powerCut(dfs, disk, { random, round });
    assert.equal(restart, '', `seed ${random.seed}`);
    for (const verdict of verdicts) {
      t.diagnostic(`seed ${random.seed} round ${round}: ${JSON.stringify(verdict)}`);
      assert.deepEqual(verdict.failures, [], `seed ${random.seed} round ${round}`);
    }
  }
});

const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the metaserver answers without syncing its batch',
    file: 'src/metaserver/level-kv.js',
    from: 'sync: true',
    to: 'sync: false',
  },
  {
    name: 'fsync does not reach the backing file',
    file: 'src/peer/file-io.js',
    from: 'fdatasync: fdatasyncAsync',
    to: 'fdatasync: () => Promise.resolve()',
  },
];

for (const mutation of MUTATIONS) {
  test(`the power cut shows it when ${mutation.name}`, async (t) => {
    const random = Random.fromEnvironment();
    const { dfs, disk } = await onFaultDisk(t, await mutant(t, mutation));
    let caught = '';
    for (let round = 0; round < 12 && caught === ''; round++) {
      const { verdicts, restart } = await powerCut(dfs, disk, { random, round });
      caught = [restart, ...verdicts.flatMap((verdict) => verdict.failures)].join(' ').trim();
    }
    t.diagnostic(caught.slice(0, 200));
    assert.notEqual(caught, '', `seed ${random.seed}: the lost data went unnoticed`);
  });
}
