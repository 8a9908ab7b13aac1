import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs locks
      who has locked what, on every machine, and who waits
  dfs locks /mnt/dfs/mail/inbox
      the same for one file:
      KIND   MODE   BYTES       MACHINE  PID          FILE
      flock  write  whole file  nas      4711         mail/inbox
      flock  write  whole file  laptop   913   waits  mail/inbox
  dfs locks --json
      the same for programs, with stable field names`;

async function showLocks(
  path: string | undefined,
  flags: CommonFlags,
  environment: Environment,
): Promise<void> {
  const { say, sayJson } = await import('../environment.ts');
  const { findState } = await import('../find-state.ts');
  const { fetchLocks } = await import('../node-client.ts');
  const { lockTable } = await import('../../common/core/listed-lock.ts');
  const { FsError } = await import('../../common/errno.ts');
  const state = await findState({
    environment,
    flag: flags.state,
    path: path === undefined ? undefined : resolve(path),
  });
  const all = await fetchLocks(state.paths);
  if (all === undefined) {
    throw new FsError(
      'ENOTCONN',
      `the node of ${state.dir} does not run: \`dfs mount MOUNTPOINT\` starts it`,
    );
  }
  const ino = path === undefined ? undefined : (await stat(path)).ino;
  const locks = all.locks.filter((lock) => ino === undefined || lock.ino === ino);
  const list = { locks, truncated: all.truncated };
  if (flags.json === true) sayJson(list);
  else say(lockTable(list) ?? 'dfs: nothing is locked');
}

export function addLocks(program: Command, environment: Environment): void {
  program
    .command('locks')
    .argument('[path]', 'a file in the mount')
    .summary('who has locked what, and who waits')
    .description(
      'Shows the locks of flock(2) and fcntl(2) on every machine, and who waits for one.',
    )
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action((path: string | undefined, flags: CommonFlags) => showLocks(path, flags, environment));
}
