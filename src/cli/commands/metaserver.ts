import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs metaserver
      serves the namespace of the cluster founded on this machine until Ctrl-C
  dfs metaserver --state /data/dfs
      the same for the state in /data/dfs`;

export function addMetaserver(program: Command, environment: Environment): void {
  program
    .command('metaserver')
    .summary('run the metadata server alone, in the foreground')
    .description('Serves the namespace of a cluster that was founded here; logs to stderr.')
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'accepted for uniformity: the log is JSON already')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: CommonFlags) => {
      const { findStateDir } = await import('../find-state.ts');
      const { openMetaserver } = await import('../metaserver-role.ts');
      const { serveRole } = await import('../serve-role.ts');
      const stateDir = await findStateDir({ environment, flag: flags.state });
      await serveRole({ role: 'metaserver', stateDir, environment, open: openMetaserver });
    });
}
