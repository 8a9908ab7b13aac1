/**
 * Programs on every mount of a cluster make random calls and record them, while one thing after the
 * other breaks; then all of it is read once more from every mount, and judged.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import type { StatusDocument } from '../../src/cli/status-document.ts';
import { within } from '../../src/common/lifecycle.ts';
import { judge, type Report, type Window } from '../history/judge.ts';
import { type Entry, readRecord } from '../history/record.ts';
import type { ClusterNode, TestCluster } from './cluster.ts';
import { expectOk, run } from './dfs.ts';
import type { HistoryFault } from './history-faults.ts';
import type { Random } from './random.ts';

const PROGRAM = resolve(import.meta.dirname, '../../../test/support/workload/history.py');
const ROLES = ['names', 'data', 'data', 'locks', 'unlinked'] as const;
const ROUND_MS = 4_000;
const WHOLE_MS = 90_000;
/** Longer than any call may take, see `-o wait=`. */
const ENDS_MS = 90_000;
const KILLED_MS = 5_000;
const LEFT_MS = 30_000;

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  said: string;
  code: number | null;
}

export class HistoryRun {
  readonly windows: Window[] = [];
  /** The records; kept when the test fails. */
  readonly dir: string;
  readonly #cluster: TestCluster;
  readonly #random: Random;
  readonly #note: (line: string) => void;
  readonly #programs: Program[] = [];
  readonly #rounds: number;
  #originNs = 0n;

  private constructor(
    cluster: TestCluster,
    options: { random: Random; dir: string; rounds: number; note: (line: string) => void },
  ) {
    this.#cluster = cluster;
    this.#random = options.random;
    this.dir = options.dir;
    this.#rounds = options.rounds;
    this.#note = options.note;
  }

  /** @param ms how long it may last; files are made for all of it beforehand */
  static async start(t: TestContext, cluster: TestCluster, random: Random, ms: number) {
    const dir = await mkdtemp(join(tmpdir(), 'dfs-history-'));
    const rounds = Math.ceil(ms / ROUND_MS);
    const note = (line: string): void => t.diagnostic(line);
    const history = new HistoryRun(cluster, { random, dir, rounds, note });
    t.after(() => history.#end());
    for (const node of cluster.nodes) expectOk(await history.#once('setup', node, 90), 'setup');
    history.#work();
    return history;
  }

  /** Since the programs began. */
  get nowNs(): number {
    return Number(process.hrtime.bigint() - this.#originNs);
  }

  /** Breaks it; the window ends when all nodes see the cluster whole. */
  async break(fault: HistoryFault): Promise<void> {
    const beginNs = this.nowNs;
    try {
      await fault.run(this.#cluster);
      await this.#cluster.untilWhole(`after ${fault.what}`, WHOLE_MS);
    } finally {
      const { what, losers, forgetters } = fault;
      const window = { what, losers, forgetters, beginNs, endNs: this.nowNs };
      this.windows.push(window);
      const seconds = (ns: number): string => (ns / 1e9).toFixed(1);
      this.#note(`${seconds(beginNs)} s .. ${seconds(window.endNs)} s: ${fault.what}`);
    }
  }

  async finish(): Promise<Report> {
    const done = Math.ceil(this.nowNs / 1e6 / ROUND_MS);
    await writeFile(join(this.dir, 'stop'), '');
    const ended = Promise.all(this.#programs.map((program) => program.ended));
    await within(ended, ENDS_MS, 'the end of the programs');
    for (const { code, said } of this.#programs) {
      if (code !== 0) throw new Error(`a program ended with ${code}: ${said}`);
    }
    for (const node of this.#cluster.nodes) {
      expectOk(await this.#once('final', node, 91, { done }), `final reads on ${node.name}`);
    }
    await writeFile(join(this.dir, 'windows.json'), JSON.stringify(this.windows));
    const report = judge(await readRecords(this.dir), this.windows);
    const left = await this.#untilNothingIsLeft().then(
      () => [],
      (error: unknown) => [String(error)],
    );
    return { ...report, wrong: [...report.wrong, ...left] };
  }

  /** Files that lost their names while they were open are gone with their last descriptors. */
  async #untilNothingIsLeft(): Promise<void> {
    const [node] = this.#cluster.nodes;
    if (node === undefined) return;
    const listed = await node.dfs.ok("find . -printf '%i\\n' | sort -u | wc -l");
    const files = Number(listed);
    const isClean = ({ inodes, reclaimPending }: StatusDocument): boolean =>
      inodes === files && reclaimPending === 0;
    await this.#cluster.untilStatus(`${files} files are all`, node, isClean, LEFT_MS);
  }

  /** What failed is worth another look; what passed is not. */
  async discard(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  #work(): void {
    this.#originNs = process.hrtime.bigint();
    for (const node of this.#cluster.nodes) {
      for (const [worker, role] of ROLES.entries()) {
        const config = this.#config(node, worker, { role, seed: this.#random.below(2 ** 20) });
        this.#programs.push(startProgram(config));
      }
    }
  }

  #config(node: ClusterNode, worker: number, more: object): string {
    return JSON.stringify({
      mountpoint: node.dfs.mountpoint,
      mount: node.index,
      mounts: this.#cluster.nodes.length,
      worker,
      role: 'final',
      rounds: this.#rounds,
      round_ns: ROUND_MS * 1_000_000,
      origin_ns: Number(this.#originNs),
      seed: 0,
      log: join(this.dir, `${node.index}-${worker}.jsonl`),
      stop: join(this.dir, 'stop'),
      ...more,
    });
  }

  #once(command: string, node: ClusterNode, worker: number, more: object = {}) {
    return run('python3', ['-B', PROGRAM, command, this.#config(node, worker, more)], {
      timeoutMs: 120_000,
      onTimeout: () => node.dfs.abort(),
    });
  }

  /** A program may have forked; its group goes with it. */
  async #end(): Promise<void> {
    for (const { child, code } of this.#programs) {
      if (code === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }
    for (const { ended } of this.#programs) await within(ended, KILLED_MS, 'a killed program');
  }
}

function startProgram(config: string): Program {
  const stdio = ['ignore', 'ignore', 'pipe'] as const;
  const child = spawn('python3', ['-B', PROGRAM, 'work', config], {
    stdio: [...stdio],
    cwd: '/',
    detached: true,
  });
  const ended = new Promise<void>((onEnded) => {
    child.once('close', (code) => {
      program.code = code ?? 125;
      onEnded();
    });
  });
  const program: Program = { child, ended, said: '', code: null };
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    program.said += text;
  });
  return program;
}

/** Files are named MOUNT-WORKER.jsonl. */
export async function readRecords(dir: string): Promise<Entry[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.jsonl'));
  return files.flatMap((name) => readRecord(join(dir, name), Number(name.split('-')[0])));
}
