/**
 * A write(2) sets both times of a file, of change and of modification, and neither fsync(2) nor
 * close(2) moves them.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterNode, TestCluster } from '../support/cluster.ts';
import { DfsUnderTest } from '../support/dfs.ts';
import { HeldFile } from '../support/held-file.ts';
import type { Answer } from '../support/workload/hold.ts';

/** Longer than the kernel's clock of file times takes to move on. */
const LATER_MS = 30;

async function timesOf(file: HeldFile): Promise<Answer['times']> {
  return (await file.ok({ call: 'times' })).times;
}

/** As another program here sees them, or one on another machine. */
async function timesByName(t: TestContext, node: ClusterNode, name: string): Promise<unknown> {
  const file = await HeldFile.open(t, join(node.dfs.mountpoint, name), 'r');
  const times = await timesOf(file);
  await file.ok({ call: 'close' });
  return times;
}

test('a write sets the time of change as well', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  const file = await HeldFile.open(t, join(dfs.mountpoint, 'file'), 'w');
  for (const text of ['first', 'second']) {
    await sleep(LATER_MS);
    await file.ok({ call: 'write', at: 0, text });
    const { ctime = 'none', mtime } = (await timesOf(file)) ?? {};
    assert.equal(ctime, mtime, text);
  }
});

test('times after fsync and close are those after the last write', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0), cluster.node(1)];
  await one.dfs.ok('echo a file of this machine > file');
  // The first is home to the file, the second is not.
  for (const [writer, other] of [
    [one, two],
    [two, one],
  ] as const) {
    await t.test(`written by ${writer.name}`, async (sub) => {
      const file = await HeldFile.open(sub, join(writer.dfs.mountpoint, 'file'), 'r+');
      await file.ok({ call: 'write', at: 0, text: 'first' });
      await sleep(LATER_MS);
      await file.ok({ call: 'write', at: 100, text: 'last' });
      const written = await timesOf(file);
      await sleep(LATER_MS);
      assert.deepEqual(await timesOf(file), written, 'fstat(2) again');
      await file.ok({ call: 'fsync' });
      assert.deepEqual(await timesOf(file), written, 'after fsync(2)');
      await sleep(LATER_MS);
      await file.ok({ call: 'close' });
      assert.deepEqual(await timesByName(sub, writer, 'file'), written, 'after close(2)');
      assert.deepEqual(await timesByName(sub, other, 'file'), written, 'on the other machine');
    });
  }
});
