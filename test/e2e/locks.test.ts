/**
 * flock(2), fcntl(2) and its open file descriptions on three machines: counters that several
 * programs add to, locks that are waited for, given up by whatever ends their owner, and refused
 * where they would be waited for in a circle.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InodeInfo } from '../../src/common/core/inode-info.ts';
import type { LockList } from '../../src/common/core/listed-lock.ts';
import { type ClusterNode, TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';
import { until } from '../support/processes.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';

const COUNTER = resolve(import.meta.dirname, '../../../test/support/workload/locks.py');
const COUNT = Number(process.env['COUNT'] ?? 60);
const KINDS = ['flock', 'posix', 'ofd'] as const;
const LOCK_MS = 60_000;
const GONE_MS = 40_000;

/** A program that has the file locked until it is told to end. */
class Holder {
  readonly #child;
  #said = '';

  private constructor(t: TestContext, { dfs }: ClusterNode, flags: string, file: string) {
    const args = [
      ...flags.split(' '),
      `${dfs.mountpoint}/${file}`,
      'sh',
      '-c',
      'echo has; exec cat',
    ];
    this.#child = spawn('flock', args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    t.after(() => this.kill());
  }

  static start(t: TestContext, node: ClusterNode, flags: string, file = 'lock'): Holder {
    return new Holder(t, node, flags, file);
  }

  get has(): boolean {
    return this.#said !== '';
  }

  async untilHas(ms = LOCK_MS): Promise<void> {
    await until('the file is locked', () => this.has, ms);
  }

  /** Ends it in good order. */
  end(): void {
    this.#child.stdin.end();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function tried(node: ClusterNode, flags: string, file = 'lock'): Promise<boolean> {
  const { mountpoint } = node.dfs;
  const output = await run('flock', ['-n', ...flags.split(' '), `${mountpoint}/${file}`, 'true']);
  return output.code === 0;
}

async function counted(node: ClusterNode, file: string, how: string): Promise<number[]> {
  const args = ['-B', COUNTER, `${node.dfs.mountpoint}/${file}`, how, String(COUNT)];
  const onTimeout = (): Promise<void> => node.dfs.abort();
  const output = await run('python3', args, { timeoutMs: LOCK_MS + COUNT * 200, onTimeout });
  return expectOk(output, `counting under ${how}`).stdout.trim().split('\n').map(Number);
}

const skip = await reasonAgainstPrograms('flock', 'python3');

test('locks hold on three machines', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 3, network: 'host' });
  const [one, two, three] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await one.dfs.ok('echo content > $M/lock');

  for (const how of KINDS) {
    await t.test(`two programs on each add to one counter under ${how}`, async () => {
      const file = `counter-${how}`;
      await one.dfs.ok(`: > $M/${file}`);
      const each = [...cluster.nodes, ...cluster.nodes].map((node) => counted(node, file, how));
      const numbers = (await Promise.all(each)).flat().sort((a, b) => a - b);
      assert.deepEqual(
        numbers,
        Array.from({ length: each.length * COUNT }, (_, index) => index),
      );
    });
  }

  await t.test('who waits gets it when it is given up, in the order of arrival', async (sub) => {
    const holder = Holder.start(sub, one, '-x');
    await holder.untilHas();
    assert.equal(await tried(two, '-x'), false);
    assert.equal(await tried(two, '-s'), false);
    const second = Holder.start(sub, two, '-x');
    await sleep(300);
    const third = Holder.start(sub, three, '-x');
    await sleep(300);
    assert.equal(second.has || third.has, false);
    const list = expectOk(await one.dfs.cli(['locks', '--json']), 'dfs locks');
    const { locks } = JSON.parse(list.stdout) as LockList;
    const shown = locks.map(({ kind, machine, path, type, waits }) => ({
      text: `${kind} ${type} ${path} ${machine}`,
      waits,
    }));
    assert.deepEqual(shown, [
      { text: `flock write lock ${one.name}`, waits: false },
      { text: `flock write lock ${two.name}`, waits: true },
      { text: `flock write lock ${three.name}`, waits: true },
    ]);
    const told = await three.dfs.cli(['info', join(three.dfs.mountpoint, 'lock'), '--json']);
    const info = JSON.parse(expectOk(told, 'dfs info').stdout) as InodeInfo;
    assert.deepEqual([info.path, info.home?.machine, info.home?.up], ['lock', one.name, true]);
    assert.deepEqual([info.locks, info.waitingLocks, info.lockDecider], [1, 2, null]);
    holder.end();
    await second.untilHas();
    assert.equal(third.has, false);
    second.end();
    await third.untilHas();
    third.end();
    await until('it is free', () => tried(one, '-x'));
  });

  await t.test('many share it, and none of them writes', async (sub) => {
    const readers = [one, two, three].map((node) => Holder.start(sub, node, '-s'));
    for (const reader of readers) await reader.untilHas();
    assert.equal(await tried(one, '-x'), false);
    for (const reader of readers) reader.end();
    await until('it is free', () => tried(two, '-x'));
  });

  await t.test('who is killed has nothing locked, and waits for nothing', async (sub) => {
    const holder = Holder.start(sub, one, '-x');
    await holder.untilHas();
    const waiting = Holder.start(sub, two, '-x');
    const last = Holder.start(sub, three, '-x');
    await sleep(500);
    waiting.kill();
    await sleep(300);
    holder.kill();
    await last.untilHas(10_000);
    last.end();
  });

  await t.test(
    'what an open file has locked is free when its last descriptor is gone',
    async () => {
      const script = `
import fcntl, os, struct, sys
lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
here, there = (os.open(f"{mount}/lock", os.O_RDWR) for mount in sys.argv[1:])
def tried(file):
    try:
        fcntl.fcntl(file, 37, lock)
        return "had"
    except BlockingIOError:
        return "refused"
print(tried(here), tried(there))
again = os.dup(here)
os.close(here)
print(tried(there))
os.close(again)
while tried(there) == "refused": pass
here = os.open(f"{sys.argv[1]}/lock", os.O_RDWR)
print(tried(here))`;
      const said = await two.dfs.ok(`timeout 10 python3 -c '${script}' "$M" ${one.dfs.mountpoint}`);
      assert.equal(said, 'had refused\nrefused\nrefused\n');
    },
  );

  await t.test('a circle is refused', async () => {
    const script = `
import fcntl, os, sys
file = os.open(os.environ["M"] + "/circle", os.O_RDWR | os.O_CREAT)
mine, other = int(sys.argv[1]), 1 - int(sys.argv[1])
fcntl.lockf(file, fcntl.LOCK_EX, 1, mine)
open(os.environ["M"] + f"/has-{mine}", "w").close()
while not os.path.exists(os.environ["M"] + f"/has-{other}"): pass
try:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, other)
    print("locked")
except OSError as error:
    print(error.strerror)
`;
    const said = await Promise.all(
      [one, two].map(async ({ dfs }, mine) =>
        (await dfs.ok(`python3 -c '${script}' ${mine}`)).trim(),
      ),
    );
    assert.deepEqual(said.sort(), ['Resource deadlock avoided', 'locked']);
  });

  await t.test('a metaserver that is killed comes back, and nobody loses a lock', async (sub) => {
    const holder = Holder.start(sub, two, '-x');
    await holder.untilHas();
    const waiting = Holder.start(sub, three, '-x');
    await sleep(300);
    process.kill(await one.dfs.pid('metaserver'), 'SIGKILL');
    assert.equal(await tried(one, '-x'), false);
    assert.equal(waiting.has, false);
    holder.end();
    await waiting.untilHas();
    waiting.end();
  });

  await t.test('a machine whose node is killed has nothing locked', async (sub) => {
    const holder = Holder.start(sub, three, '-x');
    await holder.untilHas();
    const waiting = Holder.start(sub, two, '-x');
    await sleep(300);
    process.kill(await three.dfs.pid('node'), 'SIGKILL');
    await waiting.untilHas(GONE_MS);
    waiting.end();
    await cluster.untilWhole('the machine is back', GONE_MS);
  });

  await t.test(
    'who lost a lock with its machine is told, until the file is closed',
    async (sub) => {
      const script = `
import fcntl, os, sys
file = os.open("lock", os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
print("has", flush=True)
sys.stdin.readline()
for call in (lambda: os.pread(file, 1, 0), lambda: os.pwrite(file, b"x", 0)):
    try: print(call(), flush=True)
    except OSError as error: print(error.strerror, flush=True)
os.close(file)
file = os.open("lock", os.O_RDWR)
print(os.pwrite(file, b"x", 0), flush=True)
`;
      const child = spawn('python3', ['-c', script], {
        cwd: two.dfs.mountpoint,
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      sub.after(() => child.kill('SIGKILL'));
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      await until('it is locked', () => said === 'has\n');
      const pid = await two.dfs.pid('node');
      process.kill(pid, 'SIGSTOP');
      const waiting = Holder.start(sub, three, '-x');
      try {
        await waiting.untilHas(GONE_MS);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await cluster.untilWhole('the machine is back', GONE_MS);
      child.stdin.write('\n');
      await until('it has tried', () => said.split('\n').length === 5, LOCK_MS);
      assert.equal(said, 'has\nInput/output error\nInput/output error\n1\n');
      waiting.end();
    },
  );
});
