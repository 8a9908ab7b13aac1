import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs stop
      writes everything back, unmounts, ends the node and the metaserver of this machine
  dfs stop --state /data/dfs
      the same for the node whose state lies in /data/dfs`;

export function addStop(program: Command, environment: Environment): void {
  program
    .command('stop')
    .summary('end this node in good order')
    .description('Writes everything back, unmounts, and ends the processes of this node.')
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: CommonFlags) => {
      const { runStop } = await import('../stop-flow.ts');
      await runStop(flags, environment);
    });
}
