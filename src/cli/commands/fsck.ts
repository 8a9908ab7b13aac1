import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs fsck
      whether names, inodes, openers and counters agree, while everything goes on:
      namespace  1204 inodes, 1310 names, 2 open without a name, 0 to be deleted: nothing is wrong
      backing    811 files on "nas", all of them wanted
  dfs fsck --json && echo sound
      the same for programs, with stable field names: what is wrong under namespace.findings

Exit status 0: nothing is wrong; 1: something is, and stdout says what, or it could not be checked,
and stdout is empty. The namespace is that of the whole cluster. Backing files are looked at on this
machine alone: run it on each one that stores files. What files hold is not read, and nothing is
repaired. \`find MOUNTPOINT -inum N\` finds the path of an inode.`;

async function runFsck(flags: CommonFlags, environment: Environment): Promise<void> {
  const { say, sayJson } = await import('../environment.ts');
  const { findState } = await import('../find-state.ts');
  const { fetchFsck } = await import('../node-client.ts');
  const { fsckText, fsckVerdict } = await import('../fsck-text.ts');
  const { FsError } = await import('../../common/errno.ts');
  const state = await findState({ environment, flag: flags.state });
  const report = await fetchFsck(state.paths);
  if (report === undefined) {
    throw new FsError(
      'ENOTCONN',
      `the node of ${state.dir} does not run: \`dfs mount MOUNTPOINT\` starts it`,
    );
  }
  if (flags.json === true) sayJson(report);
  else say(fsckText(report));
  if (!report.clean) throw new FsError('EIO', fsckVerdict(report));
}

export function addFsck(program: Command, environment: Environment): void {
  program
    .command('fsck')
    .summary('whether the namespace is sound, and no space is lost')
    .description(
      'Checks that the records of the namespace agree, and that backing files here belong to files.',
    )
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action((flags: CommonFlags) => runFsck(flags, environment));
}
