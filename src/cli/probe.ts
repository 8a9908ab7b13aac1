/**
 * Whether a mount answers: statfs in a child process with a bound, because a call into a stuck
 * mount cannot be taken back, and this process must stay able to end.
 */
import { spawn } from 'node:child_process';

export type MountHealth =
  | 'answers'
  /** Its daemon is gone: the kernel refuses at once. */
  | 'dead'
  /** No answer within the bound. */
  | 'silent';

const PROBE_MS = 2_000;
const DEAD_CODES = ['ENOTCONN', 'ECONNABORTED', 'ENODEV'];

const SCRIPT = `
require('node:fs').statfs(process.argv[1], (error) => {
  process.stdout.write(error ? String(error.code) : 'ok');
});
`;

export function probeMount(mountpoint: string): Promise<MountHealth> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['-e', SCRIPT, mountpoint], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let answer = '';
    const finish = (health: MountHealth): void => {
      clearTimeout(timer);
      child.stdout.destroy();
      child.unref();
      resolve(health);
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      finish('silent');
    }, PROBE_MS);
    child.stdout.on('data', (text: Buffer) => {
      answer += text.toString();
    });
    child.once('error', () => finish('silent'));
    child.once('close', () => finish(DEAD_CODES.includes(answer) ? 'dead' : 'answers'));
  });
}
