/** A program that works on two mounts at once, and prints what came of it as JSON. */
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { TestCluster } from './cluster.ts';
import { expectOk, run } from './dfs.ts';

const WORKLOAD = resolve(import.meta.dirname, '../../../test/support/workload');
const STARTED_MS = 60_000;

/** How often what happened. */
export type Counts = Readonly<Partial<Record<string, number>>>;

/**
 * Runs `program`, with the two mountpoints and `count` behind its arguments.
 * @param dfs the compiled dfs, where it is another than that of this checkout
 * @returns its JSON
 */
export async function between(
  t: TestContext,
  [program, ...args]: readonly [program: string, ...args: string[]],
  count: number,
  timeoutMs: number,
  dfs?: string,
): Promise<unknown> {
  const other = dfs === undefined ? {} : { program: dfs };
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host', ...other });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const output = await run(program, [...args, one.mountpoint, two.mountpoint, String(count)], {
    timeoutMs,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const { stdout } = expectOk(output, args.join(' '));
  t.diagnostic(stdout.trim());
  return JSON.parse(stdout);
}

/** As `between`, for a script of the workload that counts for some seconds. */
export async function countBetween(
  t: TestContext,
  script: string,
  seconds: number,
): Promise<Counts> {
  const command = ['python3', '-B', resolve(WORKLOAD, script)] as const;
  return (await between(t, command, seconds, STARTED_MS + seconds * 1_000)) as Counts;
}
