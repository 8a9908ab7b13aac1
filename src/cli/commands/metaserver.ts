import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';
import type { NodeFlags } from '../settings.ts';

const EXAMPLES = `
Examples:
  dfs metaserver
      serves the namespace of the cluster founded on this machine until Ctrl-C
  dfs metaserver --listen 0.0.0.0 --insecure
      the same for every machine that reaches this one, unencrypted; remembered`;

export function addMetaserver(program: Command, environment: Environment): void {
  program
    .command('metaserver')
    .summary('run the metadata server alone, in the foreground')
    .description('Serves the namespace of a cluster that was founded here; logs to stderr.')
    .option('--state <dir>', 'state folder of the node')
    .option('--listen <host[:port]>', 'where it listens (default 127.0.0.1:7480)')
    .option('--insecure', 'listen beyond this machine without encryption')
    .option('--json', 'accepted for uniformity: the log is JSON already')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: CommonFlags & NodeFlags) => {
      const { prepareRole } = await import('../prepare-role.ts');
      const { openMetaserver } = await import('../metaserver-role.ts');
      const { serveRole } = await import('../serve-role.ts');
      const stateDir = await prepareRole(flags, environment);
      await serveRole({ role: 'metaserver', stateDir, environment, open: openMetaserver });
    });
}
