/**
 * A machine is stopped with something unpublished in a file whose home it is, and somebody looks:
 * it is evicted (C6). Once it goes on, what was written is published under a new lease (C15), and
 * nobody waits for it for ever.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { delay } from '../../src/common/lifecycle.ts';
import { type ClusterNode, statusOf, TestCluster } from '../support/cluster.ts';
import { HeldFile } from '../support/held-file.ts';

const BASE = 'base of the file';
const MORE = ' and more';
/** 14 s after it was last heard of a machine counts for nothing. */
const SILENT_MS = 20_000;
/** The next publication by age, and two tries more. */
const PUBLISHED_MS = 20_000;

/** Until the file reads so there. @returns how often it did not */
async function reads({ dfs, name }: ClusterNode, file: string, text: string): Promise<void> {
  const endMs = Date.now() + PUBLISHED_MS;
  for (;;) {
    const found = await dfs.ok(`cat ${file}`, PUBLISHED_MS);
    if (found === text) return;
    assert.ok(BASE.startsWith(found) || text.startsWith(found), `${name}: ${found}`);
    assert.ok(Date.now() < endMs, `${name} still reads ${found}`);
    await delay(200);
  }
}

describe('an evicted home', { concurrency: true }, () => {
  for (const [what, before] of [
    ['a file', 'nobody has looked before'],
    ['a file that others have cached', 'cat file; stat file'],
  ] as const) {
    it(`what an evicted home wrote to ${what} is published, and nobody waits for ever`, async (t) => {
      const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
      const [other, home] = [cluster.node(0), cluster.node(1)];
      await home.dfs.ok(`printf '${BASE}' > file`);
      if (before.startsWith('cat')) await other.dfs.ok(before);
      const held = await HeldFile.open(t, join(home.dfs.mountpoint, 'file'), 'r+');
      await held.ok({ call: 'write', at: BASE.length, text: MORE });
      const pid = await home.dfs.pid('node');
      process.kill(pid, 'SIGSTOP');
      try {
        const size = await other.dfs.ok('stat -c %s file', SILENT_MS);
        assert.equal(
          Number(size),
          BASE.length,
          'it was evicted, and its size is what was published',
        );
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      // At once, and by both: each of these calls for a lease that the other one wants.
      await Promise.all(
        cluster.nodes.map(async (node) => {
          for (let look = 0; look < 20; look += 1) await node.dfs.ok('stat file', PUBLISHED_MS);
          await reads(node, 'file', BASE + MORE);
        }),
      );
      await held.ok({ call: 'write', at: 0, text: 'BASE' });
      await held.ok({ call: 'fsync' });
      for (const node of cluster.nodes) {
        assert.equal(await node.dfs.ok('cat file'), `BASE${BASE.slice(4)}${MORE}`);
        const [mount] = (await statusOf(node)).mounts;
        assert.ok(mount !== undefined && 'waiting' in mount && mount.waiting.length === 0);
      }
      held.kill();
    });
  }
});
