import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs peer
      serves this machine's data without a mount until Ctrl-C
  dfs peer --state /data/dfs
      the same for the state in /data/dfs`;

async function serveNode(flags: CommonFlags, environment: Environment): Promise<void> {
  const { findStateDir } = await import('../find-state.ts');
  const { openNode } = await import('../node-role.ts');
  const { serveRole } = await import('../serve-role.ts');
  await serveRole({
    role: 'node',
    stateDir: await findStateDir({ environment, flag: flags.state }),
    environment,
    open: (context) => openNode(context, environment),
  });
}

/** A peer is a node without a mount; `dfs mount` on its state folder adds one. */
export function addPeer(program: Command, environment: Environment): void {
  program
    .command('peer')
    .summary('run the storage peer alone, in the foreground')
    .description('Serves the data of this node without a mount; logs to stderr.')
    .option('--state <dir>', 'state folder of the node')
    .option('--json', 'accepted for uniformity: the log is JSON already')
    .addHelpText('after', EXAMPLES)
    .action((flags: CommonFlags) => serveNode(flags, environment));
}

/** What `dfs mount` starts in the background. */
export function addServeNode(program: Command, environment: Environment): void {
  program
    .command('serve-node', { hidden: true })
    .requiredOption('--state <dir>')
    .action((flags: CommonFlags) => serveNode(flags, environment));
}
