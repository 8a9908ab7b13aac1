/**
 * Histories of random calls on three mounts are linearizable while nodes are killed, stopped, cut
 * off and delayed: every block, every appended file, every group of names, also of files that lose
 * their names while they are open, and every lock. MINUTES makes it long,
 * with all faults in random order; SEED replays their order.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delay } from '../../src/common/lifecycle.ts';
import type { Report } from '../history/judge.ts';
import { TestCluster } from '../support/cluster.ts';
import { faultsInRandomOrder, SHORT_FAULTS } from '../support/history-faults.ts';
import { HistoryRun } from '../support/history-run.ts';
import { reasonAgainstNetworks } from '../support/netns.ts';
import { Random } from '../support/random.ts';

const MINUTES = Number(process.env['MINUTES'] ?? 0);
const WAIT_S = 16;
const SHORT_MS = 120_000;
/** Between faults, so that there is something outside of them. */
const CALM_MS = MINUTES > 0 ? 6_000 : 2_500;
const SUCCESS_MIN = 0.99;
/** What never succeeded shows nothing. */
const KINDS = [
  ...['pread', 'pwrite', 'mmap', 'cut', 'fsync', 'close', 'append', 'read', 'size', 'open'],
  ...['create', 'unlink', 'rename', 'link', 'stat', 'list', 'hold', 'fstat', 'unlock'],
  ...['flock', 'posix', 'ofd', 'flock at once', 'posix at once', 'ofd at once'],
];

async function breakThings(history: HistoryRun, random: Random): Promise<void> {
  await delay(CALM_MS);
  if (MINUTES === 0) {
    for (const fault of SHORT_FAULTS) {
      await history.break(fault);
      await delay(CALM_MS);
    }
    return;
  }
  for (const fault of faultsInRandomOrder(random)) {
    if (history.nowNs > MINUTES * 60e9) return;
    await history.break(fault);
    await delay(CALM_MS);
  }
}

function* lines(report: Report): Generator<string> {
  for (const [op, { inside, outside }] of Object.entries(report.counts)) {
    const told = ({ ok, failed, unknown }: typeof inside): string =>
      `${ok} ok, ${failed} failed, ${unknown} unknown`;
    yield `${op}: ${told(outside)}; inside fault windows ${told(inside)}`;
  }
  const { judged, objects, successOutside, longestMs, metHere, undecided, withoutName } = report;
  const { holds, refusals, waits, additions } = report.locks;
  yield `${holds} pieces were surely locked, ${refusals} locks refused, ${waits} long waits in vain`;
  yield `${additions} certain additions to counters under locks`;
  yield `${withoutName} calls on open files without a name`;
  yield `${judged} calls on ${objects} objects judged, ${undecided.length} undecided`;
  yield `${(successOutside * 100).toFixed(3)} % of the calls outside fault windows succeeded`;
  yield `longest call ${Math.round(longestMs)} ms, ${metHere} reads met a write of their machine`;
}

function neverHappened({ counts, locks, withoutName }: Report): string[] {
  const { holds, refusals, additions } = locks;
  const kinds = KINDS.filter((op) => (counts[op]?.outside.ok ?? 0) === 0);
  const more = Object.entries({ holds, refusals, additions, withoutName });
  return [...kinds, ...more.flatMap(([what, count]) => (count === 0 ? [what] : []))];
}

const skip = await reasonAgainstNetworks();

test('what three mounts show under faults has one order', { skip }, async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`seed ${random.seed}`);
  const cluster = await TestCluster.start(t, {
    nodes: 3,
    network: 'namespaces',
    mountArgs: ['-o', `wait=${WAIT_S}s`],
  });
  const lastsMs = MINUTES > 0 ? MINUTES * 60_000 + 180_000 : SHORT_MS;
  const history = await HistoryRun.start(t, cluster, random, lastsMs);
  await breakThings(history, random);
  const report = await history.finish();
  for (const line of lines(report)) t.diagnostic(line);
  for (const failure of report.failuresOutside.slice(0, 20)) t.diagnostic(failure);
  const place = `seed ${random.seed}, records in ${history.dir}`;
  assert.equal(report.wrong.length, 0, [place, ...report.wrong.slice(0, 10)].join('\n'));
  assert.deepEqual(report.undecided, [], place);
  assert.ok(report.successOutside >= SUCCESS_MIN, place);
  assert.deepEqual(neverHappened(report), [], place);
  await history.discard();
});
