import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';
import type { NodeFlags } from '../settings.ts';

const EXAMPLES = `
Examples:
  dfs peer
      serves this machine's data without a mount until Ctrl-C
  dfs peer --join 192.168.1.10 --insecure --state /data/dfs
      joins a cluster with a node that only stores; its state lies in /data/dfs`;

async function serveNode(
  stateDir: string,
  environment: Environment,
  options = { remount: false },
): Promise<void> {
  const { openNode } = await import('../node-role.ts');
  const { serveRole } = await import('../serve-role.ts');
  const open = (context: Parameters<typeof openNode>[0]): Promise<void> =>
    openNode(context, environment, options);
  await serveRole({ role: 'node', stateDir, environment, open });
}

/** A peer is a node without a mount; `dfs mount` on its state folder adds one. */
export function addPeer(program: Command, environment: Environment): void {
  program
    .command('peer')
    .summary('run the storage peer alone, in the foreground')
    .description('Serves the data of this node without a mount; logs to stderr.')
    .option('--state <dir>', 'state folder of the node')
    .option('--join <host[:port]>', 'join the cluster of another machine first')
    .option('--name <name>', 'name of this node when it joins')
    .option('--peer-listen <host[:port]>', 'where this node serves its data (default port 7481)')
    .option('--advertise <host>', 'address that others reach this machine at')
    .option('--insecure', 'listen beyond this machine without encryption')
    .option('--cache-size <size>', 'space for cached data, such as 10G')
    .option('--json', 'accepted for uniformity: the log is JSON already')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: CommonFlags & NodeFlags) => {
      const { prepareRole } = await import('../prepare-role.ts');
      await serveNode(await prepareRole(flags, environment), environment);
    });
}

/** What `dfs mount` starts in the background, and the guardian after a crash. */
export function addServeNode(program: Command, environment: Environment): void {
  program
    .command('serve-node', { hidden: true })
    .requiredOption('--state <dir>')
    .option('--remount', 'mount again what the process before this one had mounted')
    .action(async (flags: CommonFlags & { readonly remount?: boolean }) => {
      const { findStateDir } = await import('../find-state.ts');
      const dir = await findStateDir({ environment, flag: flags.state });
      await serveNode(dir, environment, { remount: flags.remount === true });
    });
}
