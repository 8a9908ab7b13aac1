import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs flush
      returns when everything written so far is on stable storage
  dfs flush /mnt/dfs/project
      the same, for the node that serves this mount`;

async function flush(
  path: string | undefined,
  flags: CommonFlags,
  environment: Environment,
): Promise<void> {
  const { say, sayJson } = await import('../environment.ts');
  const { findState } = await import('../find-state.ts');
  const { postFlush } = await import('../node-client.ts');
  const { FsError } = await import('../../common/errno.ts');
  const state = await findState({
    environment,
    flag: flags.state,
    path: path === undefined ? undefined : resolve(path),
  });
  if (!(await postFlush(state.paths))) {
    throw new FsError(
      'ENOTCONN',
      `the node of ${state.dir} does not run: \`dfs mount MOUNTPOINT\` starts it`,
    );
  }
  if (flags.json === true) sayJson({ flushed: true });
  else say('dfs: everything written so far is durable');
}

export function addFlush(program: Command, environment: Environment): void {
  program
    .command('flush')
    .argument('[path]', 'a path in the mount')
    .summary('make everything accepted so far durable')
    .description('Returns when everything written so far is on stable storage.')
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action((path: string | undefined, flags: CommonFlags) => flush(path, flags, environment));
}
