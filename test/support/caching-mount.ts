/** A CachingFuse in a process of its own, under orders of a test, with or without a guardian. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { type Deferred, deferred, delay, within } from '../../src/common/lifecycle.ts';
import { abortConnection, listMounts, type MountEntry } from '../../src/common/mount-table.ts';
import type { Order, Reply } from './caching-node.ts';
import { run } from './dfs.ts';
import { killHard, until } from './processes.ts';

const PROGRAM = resolve(import.meta.dirname, 'caching-node.js');
const GUARDIAN = resolve(import.meta.dirname, '../../../build/Release/dfs-guardian');
const ORDER_MS = 10_000;

/** Long enough to see that something does not come. */
export const WHILE_MS = 300;

export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const late = Symbol('late');
  return (await Promise.race([promise, delay(WHILE_MS).then(() => late)])) === late;
}

export class CachingMount {
  readonly dir = mkdtempSync(join(tmpdir(), 'dfs-caching-'));
  readonly mountpoint = join(this.dir, 'mnt');
  readonly node: ChildProcess;
  readonly #children: ChildProcess[] = [];
  readonly #waiting = new Map<number, Deferred<unknown>>();
  /** Known beforehand: umount(2) can hang when the mount is out of the table already. */
  readonly #entries: MountEntry[] = [];
  #orders = 0;

  private constructor() {
    mkdirSync(join(this.dir, 'run'));
    mkdirSync(join(this.dir, 'log'));
    const args = [PROGRAM, 'serve-node', '--state', this.dir];
    this.node = spawn(process.execPath, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      cwd: '/',
    });
    this.#children.push(this.node);
    this.node.on('message', ({ id, value }: Reply) => {
      this.#waiting.get(id)?.resolve(value);
      this.#waiting.delete(id);
    });
  }

  static async start(t: TestContext): Promise<CachingMount> {
    const mount = new CachingMount();
    t.after(() => mount.#close());
    await within(mount.#next(), ORDER_MS, 'the first request of the kernel');
    mount.#entries.push(...(await mount.#mounts()));
    return mount;
  }

  path(name: string): string {
    return join(this.mountpoint, name);
  }

  /** What the node answers; not before it can. */
  async order(order: Order): Promise<unknown> {
    return within(this.send(order), ORDER_MS, order.do);
  }

  /** As `order`, without a bound. */
  send(order: Order): Promise<unknown> {
    const answer = this.#next();
    this.node.send({ id: this.#orders - 1, order });
    return answer;
  }

  /** How many requests of a kind the kernel has sent so far. */
  async count(opcode: string): Promise<number> {
    const counts = (await this.order({ do: 'counts' })) as Record<string, number>;
    return counts[opcode] ?? 0;
  }

  /** A program that reads one file, killed with the test; `ended` when nothing is left of it. */
  cat(name: string): { readonly ended: Promise<unknown>; kill(): void } {
    const child = spawn('cat', [this.path(name)], { stdio: 'ignore', cwd: '/' });
    this.#children.push(child);
    return { ended: once(child, 'exit'), kill: () => child.kill('SIGKILL') };
  }

  /** Resolves when so many requests are held back. */
  async holds(count: number): Promise<void> {
    await until(`${count} requests wait`, async () => (await this.order({ do: 'held' })) === count);
  }

  /** Whether a name is there, by a process of its own. */
  async exists(name: string, timeoutMs = ORDER_MS): Promise<boolean | 'no answer'> {
    const { code } = await run('sh', ['-c', 'test -e "$0"', this.path(name)], { timeoutMs });
    return code === 124 ? 'no answer' : code === 0;
  }

  guard(): ChildProcess {
    const guardian = spawn(GUARDIAN, [this.dir, process.execPath, PROGRAM], {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: '/',
    });
    this.#children.push(guardian);
    return guardian;
  }

  /** A word of the table that node and guardian share. */
  word(index: number): number {
    return Number(readFileSync(join(this.dir, 'run/kernel-cache')).readBigUInt64LE(index * 8));
  }

  /** Of the node that runs, or ran last. */
  get pid(): number {
    const path = join(this.dir, 'run/node.pid');
    return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
  }

  async #mounts(): Promise<MountEntry[]> {
    return (await listMounts()).filter(({ mountpoint }) => mountpoint === this.mountpoint);
  }

  #next(): Promise<unknown> {
    const answer = deferred<unknown>();
    this.#waiting.set(this.#orders, answer);
    this.#orders += 1;
    return answer.promise;
  }

  /** The guardian first, so that nothing is started again. */
  async #close(): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    }
    // Whatever a test left waiting in the kernel: without it not even killed processes end.
    for (const entry of [...this.#entries, ...(await this.#mounts())]) {
      await abortConnection(entry).catch(() => undefined);
    }
    if (this.pid > 0) await killHard(this.pid);
    await run('umount', ['-l', this.mountpoint]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}
