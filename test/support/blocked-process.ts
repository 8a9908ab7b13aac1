/** A program that hangs on the mount: seen to wait, then killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { within } from '../../src/common/lifecycle.ts';
import type { ClusterNode, TestCluster } from './cluster.ts';

const WAITING_MS = 10_000;

/** Runs `command`, waits until the node says that a request waits, kills it: gone within `ms`. */
export async function assertKillable(
  cluster: TestCluster,
  node: ClusterNode,
  command: readonly [string, ...string[]],
  ms: number,
): Promise<void> {
  const [program, ...args] = command;
  const child = spawn(program, args, { stdio: 'ignore', cwd: '/' });
  const ended = new Promise<NodeJS.Signals | null>((onEnd, onError) => {
    child.once('error', onError);
    child.once('exit', (_, signal) => onEnd(signal));
  });
  try {
    await cluster.untilStatus(
      `${command.join(' ')} waits`,
      node,
      ({ mounts: [mount] }) => mount?.state === 'up' && mount.waiting.length > 0,
      WAITING_MS,
    );
  } finally {
    child.kill('SIGKILL');
  }
  assert.equal(await within(ended, ms, 'SIGKILL'), 'SIGKILL', 'it ended before it was killed');
}
