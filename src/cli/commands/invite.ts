import type { Command } from 'commander';
import type { Environment } from '../environment.ts';
import type { InviteFlags } from '../invite-flow.ts';

const EXAMPLES = `
Examples:
  dfs invite
      opens the running cluster to the network and prints the line to type on the next machine
  dfs invite --json
      the same for programs: {join, addresses, command}`;

export function addInvite(program: Command, environment: Environment): void {
  program
    .command('invite')
    .summary('open this cluster to the network, and print how to join it')
    .description(
      'Opens a running cluster to the network, without encryption, and prints the line to type on the next machine. It stays open after a restart.',
    )
    .option('--state <dir>', 'state folder of the node')
    .option('--read-only', 'invite to read only (not built yet)')
    .option('--once', 'invite one machine only (not built yet)')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: InviteFlags) => {
      const { runInvite } = await import('../invite-flow.ts');
      await runInvite(flags, environment);
    });
}
