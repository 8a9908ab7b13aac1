/**
 * Runs the real command line on its own state folder, as a user would, and everything that
 * touches the mount in child processes with a bound: a stuck mount ends in an abort through the
 * control filesystem and a failed test, never in a hang.
 *
 * Mounting test files run inside a private mount namespace (the test runner sees to it).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { abortConnection, findMount } from '../../src/common/mount-table.ts';
import type { NodeStatus } from '../../src/mount/status.ts';
import { killHard, processesNaming } from './processes.ts';

const CLI = resolve(import.meta.dirname, '../../src/cli/main.js');

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Called when the bound passes, before the process group is killed. */
  onTimeout?(): Promise<void>;
}

/** Runs a program to its end; past the bound its process group is killed and code is 124. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  const child = spawn(command, args, {
    cwd: options.cwd ?? '/',
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    const abort = options.onTimeout?.() ?? Promise.resolve();
    abort.finally(() => child.pid && process.kill(-child.pid, 'SIGKILL')).catch(() => undefined);
  }, options.timeoutMs ?? 60_000);
  try {
    const code = await new Promise<number>((onResolve, onReject) => {
      child.once('error', onReject);
      child.once('close', (status) => onResolve(status ?? 125));
    });
    return { code: expired ? 124 : code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

export class DfsUnderTest {
  stateDir: string;
  readonly mountpoint: string;
  /** Scratch space outside the mount; gone after the test. */
  readonly dir: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #command: readonly string[];
  #beforeRemoval: () => Promise<void> = () => Promise.resolve();

  private constructor(
    dir: string,
    env: Readonly<Record<string, string>>,
    command: readonly string[],
  ) {
    this.dir = dir;
    this.stateDir = join(dir, 'state');
    this.mountpoint = join(dir, 'mnt');
    this.#env = env;
    this.#command = command;
  }

  /**
   * A fresh folder for one test; everything in it ends with the test.
   * @param prefix what stands before every dfs command, to run it elsewhere: nsenter and its flags
   */
  static async create(
    t: TestContext,
    env: Readonly<Record<string, string>> = {},
    program = CLI,
    prefix: readonly string[] = [],
  ): Promise<DfsUnderTest> {
    const dfs = await DfsUnderTest.createOwned(env, program, prefix);
    t.after(() => dfs.cleanUp());
    return dfs;
  }

  /** As `create`, for an owner that calls `cleanUp` itself: several nodes end in an order. */
  static async createOwned(
    env: Readonly<Record<string, string>> = {},
    program = CLI,
    prefix: readonly string[] = [],
  ): Promise<DfsUnderTest> {
    const dir = await mkdtemp(join(tmpdir(), 'dfs-test-'));
    return new DfsUnderTest(dir, env, [...prefix, process.execPath, program]);
  }

  /** `dfs ARGS`, with this test's state folder. */
  cli(args: readonly string[], timeoutMs = 60_000): Promise<Output> {
    const [command = '', ...rest] = args;
    const [program = '', ...before] = this.#command;
    return run(program, [...before, command, '--state', this.stateDir, ...rest], {
      timeoutMs,
      env: this.#env,
    });
  }

  /** Mounts; throws with what the command said when it fails. */
  async mount(args: readonly string[] = []): Promise<void> {
    expectOk(await this.cli(['mount', this.mountpoint, ...args]), 'dfs mount');
  }

  /** Runs a bash script in the mount; a stuck mount is aborted at the bound. */
  sh(script: string, timeoutMs = 60_000): Promise<Output> {
    return run('bash', ['-euc', `cd "$M"\n${script}`], {
      timeoutMs,
      env: { M: this.mountpoint, HOME: this.dir },
      onTimeout: () => this.abort(),
    });
  }

  /** The standard output of a script that must succeed. */
  async ok(script: string, timeoutMs = 60_000): Promise<string> {
    return expectOk(await this.sh(script, timeoutMs), script).stdout;
  }

  async status(): Promise<NodeStatus> {
    const output = expectOk(await this.cli(['status', '--json']), 'dfs status');
    return JSON.parse(output.stdout) as NodeStatus;
  }

  /** Process id of the node, the metaserver or the guardian. */
  async pid(role: 'node' | 'metaserver' | 'guardian'): Promise<number> {
    return Number(await readFile(join(this.stateDir, 'run', `${role}.pid`), 'utf8'));
  }

  async abort(): Promise<void> {
    const entry = await findMount(this.mountpoint);
    if (entry !== undefined) await abortConnection(entry);
  }

  /** What a test laid under the state folder ends after it. */
  beforeRemoval(work: () => Promise<void>): void {
    this.#beforeRemoval = work;
  }

  async cleanUp(): Promise<void> {
    if (existsSync(this.stateDir)) {
      await this.cli(['unmount', this.mountpoint, '--force'], 15_000);
      await this.cli(['stop'], 15_000);
      await this.abort().catch(() => undefined);
      await run('umount', ['-l', this.mountpoint]);
    }
    await this.#beforeRemoval();
    // A guardian may restart one while the others are killed.
    for (let pass = 0; pass < 3; pass++) {
      for (const pid of processesNaming(this.dir)) await killHard(pid);
    }
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** @throws Error with everything the command printed when it did not exit 0 */
export function expectOk(output: Output, what: string): Output {
  if (output.code === 0) return output;
  throw new Error(
    `${what}: exit ${output.code}\n--- stdout\n${output.stdout}\n--- stderr\n${output.stderr}`,
  );
}
