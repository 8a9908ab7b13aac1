/**
 * A file that is removed while programs on two machines have it open stays whole for them until
 * the last one closes it, through kills of everything else in turn; then its space is back.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterNode, TestCluster } from '../support/cluster.ts';
import { requireSound } from '../support/fsck.ts';
import { HeldFile } from '../support/held-file.ts';
import { until } from '../support/processes.ts';

const PIECE = 'a piece of the file, and another one. ';
const TEXT = PIECE.repeat(5_000);
const BACK_MS = 60_000;
const GONE_MS = 60_000;

/** Backing files of a node. */
function backingFiles({ dfs }: ClusterNode): number {
  const entries = readdirSync(join(dfs.stateDir, 'data'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

async function requireWhole(held: HeldFile, what: string): Promise<void> {
  // What the kernel has of it says nothing.
  await writeFile('/proc/sys/vm/drop_caches', '1');
  for (const at of [0, Math.floor(TEXT.length / 2), TEXT.length - PIECE.length]) {
    const answer = await held.ok({ call: 'read', at, length: PIECE.length });
    assert.equal(answer.text, TEXT.slice(at, at + PIECE.length), `${what}, at ${at}`);
  }
}

test('a removed file is whole until its last close, whoever is killed', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 3, network: 'host' });
  const [one, two, three] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  // Its home is the second machine; the metaserver is on the first one.
  await two.dfs.ok(
    `printf '%s' '${PIECE}' > piece; for i in $(seq 5000); do cat piece; done > file`,
  );
  await two.dfs.ok('rm piece');
  const reader = await HeldFile.open(t, join(three.dfs.mountpoint, 'file'), 'r');
  const other = await HeldFile.open(t, join(one.dfs.mountpoint, 'file'), 'r');
  await requireWhole(reader, 'before');
  await two.dfs.ok('rm file');
  for (const node of cluster.nodes) assert.equal(await node.dfs.ok('ls'), '');
  await requireWhole(reader, 'removed by its home');

  await t.test('the metaserver', async () => {
    process.kill(await one.dfs.pid('metaserver'), 'SIGKILL');
    await cluster.untilWhole('the metaserver is back', BACK_MS);
    await requireWhole(reader, 'after a kill of the metaserver');
    await requireWhole(other, 'after a kill of the metaserver');
  });

  await t.test('the home, which removed it', async () => {
    process.kill(await two.dfs.pid('node'), 'SIGKILL');
    await cluster.untilWhole('the home is back', BACK_MS);
    await requireWhole(reader, 'after a kill of the home');
  });

  await t.test('the other machine that has it open', async () => {
    process.kill(await one.dfs.pid('node'), 'SIGKILL');
    await cluster.untilWhole('the other machine is back', BACK_MS);
    await requireWhole(reader, 'after a kill of the other machine');
    // What that one had open is closed by now; this one's is not.
    await sleep(1_000);
    assert.equal(backingFiles(two), 1);
    await requireWhole(reader, 'a while later');
  });

  await t.test('then its space is back', async () => {
    reader.kill();
    await until('its bytes are gone', () => backingFiles(two) === 0, GONE_MS);
    const gone = ({ inodes, reclaimPending }: { inodes?: number; reclaimPending?: number }) =>
      inodes === 1 && reclaimPending === 0;
    await cluster.untilStatus('nothing is left of it', one, gone, GONE_MS);
    await requireSound(cluster, 'in the end');
  });
});
