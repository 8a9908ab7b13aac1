/**
 * `dfs status` on a machine whose programs hang names the request, the inode and the machine that
 * stands in the way: of a lease, of the bytes of a file, of an answer of the metaserver, and of all
 * leases after the metaserver was restarted. Processes are stopped, and go on afterwards.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WaitingRequest } from '../../src/common/core/waiting.ts';
import { signalProcess } from '../../src/common/lifecycle.ts';
import { type ClusterNode, killRole, TestCluster } from '../support/cluster.ts';
import { expectOk } from '../support/dfs.ts';
import { HeldFile } from '../support/held-file.ts';

/** A request is shown when it has waited for 1 s; asking takes 2 s where the metaserver is silent. */
const NAMED_MS = 6_000;
const AFTERWARDS_MS = 10_000;

/** While the process is stopped. */
async function whileStopped<T>(pid: number, work: () => Promise<T>): Promise<T> {
  signalProcess(pid, 'SIGSTOP');
  try {
    return await work();
  } finally {
    signalProcess(pid, 'SIGCONT');
  }
}

async function inodeOf({ dfs }: ClusterNode, file: string): Promise<number> {
  return Number(await dfs.ok(`stat -c %i ${file}`));
}

test('status says which request waits for whom', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 3, network: 'host' });
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];

  /** What c shows when it shows something, and the line of it for people. */
  const shownBy = async (
    each: { diagnostic(message: string): void },
    sinceMs: number,
  ): Promise<{ readonly request: WaitingRequest; readonly line: string }> => {
    const { mounts } = await cluster.untilStatus(
      'c says what waits',
      c,
      ({ mounts: [mount] }) => mount !== undefined && 'waiting' in mount && mount.waitingCount > 0,
      NAMED_MS,
    );
    each.diagnostic(`named after ${Math.round(performance.now() - sinceMs)} ms`);
    const [mount] = mounts;
    assert.ok(mount !== undefined && 'waiting' in mount);
    const [request] = mount.waiting;
    assert.ok(request !== undefined);
    const text = expectOk(await c.dfs.cli(['status']), 'dfs status').stdout;
    const line = text.split('\n').find((each) => each.startsWith('waits ')) ?? '';
    each.diagnostic(line);
    return { request, line };
  };

  const assertNothingWaits = async (): Promise<void> => {
    await cluster.untilStatus(
      'nothing waits on c any more',
      c,
      ({ mounts: [mount] }) =>
        mount !== undefined && 'waiting' in mount && mount.waitingCount === 0,
      AFTERWARDS_MS,
    );
  };

  await t.test('for a machine that holds the lease', async (each) => {
    await c.dfs.ok('mkdir dir; printf ...... > dir/held');
    const ino = await inodeOf(c, 'dir/held');
    const waiting = await HeldFile.open(t, `${c.dfs.mountpoint}/dir/held`, 'r+');
    const holder = await HeldFile.open(t, `${b.dfs.mountpoint}/dir/held`, 'r+');
    await holder.ok({ call: 'write', at: 0, text: 'bbb' });
    const writing = await whileStopped(await b.dfs.pid('node'), async () => {
      const sinceMs = performance.now();
      const write = waiting.ok({ call: 'write', at: 3, text: 'ccc' });
      const { request, line } = await shownBy(each, sinceMs);
      const { for: whom, op, path } = request;
      assert.deepEqual([op, request.ino, path, whom], ['WRITE', ino, 'dir/held', 'lease']);
      assert.deepEqual(
        request.blockers.map(({ because, node, own }) => [because, node, own]),
        [['holds', 'b', false]],
      );
      const expected = `^waits +write of dir/held \\(inode ${ino}\\), \\d+ s: machine "b" has not given it up$`;
      assert.match(line, new RegExp(expected));
      return { write };
    });
    await writing.write;
    await assertNothingWaits();
    await holder.call({ call: 'close' });
    await waiting.call({ call: 'close' });
    assert.equal(await a.dfs.ok('cat dir/held'), 'bbbccc');
  });

  await t.test('for the home of a file', async (each) => {
    await b.dfs.ok('printf bytes > kept');
    const ino = await inodeOf(c, 'kept');
    const reading = await whileStopped(await b.dfs.pid('node'), async () => {
      const sinceMs = performance.now();
      const read = c.dfs.ok('cat kept');
      const { request, line } = await shownBy(each, sinceMs);
      const { for: whom, op, path } = request;
      assert.deepEqual([op, request.ino, path, whom], ['READ', ino, 'kept', 'peer b']);
      const expected = `^waits +read of kept \\(inode ${ino}\\), \\d+ s: home of the file "b" has not answered$`;
      assert.match(line, new RegExp(expected));
      return { read };
    });
    assert.equal(await reading.read, 'bytes');
    await assertNothingWaits();
  });

  await t.test('for the home of a file that is written', async (each) => {
    await b.dfs.ok('printf ...... > published');
    const ino = await inodeOf(c, 'published');
    const file = await HeldFile.open(t, `${c.dfs.mountpoint}/published`, 'r+');
    await file.ok({ call: 'write', at: 0, text: 'abc' });
    const syncing = await whileStopped(await b.dfs.pid('node'), async () => {
      const sinceMs = performance.now();
      const sync = file.ok({ call: 'fsync' });
      const { request } = await shownBy(each, sinceMs);
      assert.deepEqual([request.op, request.ino, request.for], ['FSYNC', ino, 'peer b']);
      return { sync };
    });
    await syncing.sync;
    await assertNothingWaits();
    await file.call({ call: 'close' });
  });

  await t.test('for the metaserver', async (each) => {
    await c.dfs.ok('stat dir');
    const making = await whileStopped(await a.dfs.pid('metaserver'), async () => {
      const sinceMs = performance.now();
      const made = c.dfs.ok('mkdir dir/new');
      const { request, line } = await shownBy(each, sinceMs);
      const { for: whom, op } = request;
      const dir = request.ino;
      // The kernel looks the name up first, unless it was told that it is absent.
      assert.match(op, /^(?:LOOKUP|MKDIR)$/);
      assert.deepEqual([whom, request.path, request.blockers], ['metaserver', 'dir/new', []]);
      const expected = `^waits +(?:lookup|mkdir) of dir/new \\(in inode ${dir}\\), \\d+ s: the metaserver has not answered for \\d+ s$`;
      assert.match(line, new RegExp(expected));
      return { made, dir };
    });
    await making.made;
    assert.equal(await inodeOf(c, 'dir'), making.dir);
    await assertNothingWaits();
  });

  await t.test(
    'for a machine that a metaserver which was restarted has to hear of',
    async (each) => {
      const making = await whileStopped(await b.dfs.pid('node'), async () => {
        await killRole(a, 'metaserver');
        const up = await cluster.untilStatus(
          'the metaserver is back for c',
          c,
          ({ metaserver }) => metaserver.state === 'up',
          AFTERWARDS_MS,
        );
        assert.equal(up.node.name, 'c');
        const sinceMs = performance.now();
        const made = c.dfs.ok('mkdir dir/newer');
        const { request } = await shownBy(each, sinceMs);
        assert.deepEqual([request.op, request.for], ['MKDIR', 'lease']);
        const others = request.blockers.filter(({ own }) => !own);
        assert.ok(others.some(({ because, node }) => because === 'unsettled' && node === 'b'));
        return { made };
      });
      await making.made;
      await assertNothingWaits();
    },
  );
});
