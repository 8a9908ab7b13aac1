import { lstat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs info /mnt/dfs/film.mkv
      where the file lies, which machines remember or write it, and who has locked it:
      path      film.mkv
      inode     1026, file, 1.4 GiB, 1 link
      rights    0644, owner 1000:1000
      changed   2026-11-26T18:00:00.000Z
      home      "nas" (group 1)
      leases    "nas" remembers it; "laptop" remembers it
      open      not known without a lease
      locks     none
  dfs info /mnt/dfs/film.mkv --json
      the same for programs, with stable field names`;

async function showInfo(path: string, flags: CommonFlags, environment: Environment): Promise<void> {
  const { say, sayJson } = await import('../environment.ts');
  const { findState } = await import('../find-state.ts');
  const { fetchInfo } = await import('../node-client.ts');
  const { infoText } = await import('../info-text.ts');
  const { FsError } = await import('../../common/errno.ts');
  const state = await findState({ environment, flag: flags.state, path: resolve(path) });
  const info = await fetchInfo(state.paths, (await lstat(path)).ino);
  if (info === undefined) {
    throw new FsError(
      'ENOTCONN',
      `the node of ${state.dir} does not run: \`dfs mount MOUNTPOINT\` starts it`,
    );
  }
  if (flags.json === true) sayJson(info);
  else say(infoText(info));
}

export function addInfo(program: Command, environment: Environment): void {
  program
    .command('info')
    .argument('<path>', 'a file or directory in the mount')
    .summary('where a file lies, who remembers, writes or locks it')
    .description('Shows where a file lies, and which machines remember, write or lock it.')
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action((path: string, flags: CommonFlags) => showInfo(path, flags, environment));
}
