import { type Command, Option } from 'commander';
import type { Environment } from '../environment.ts';
import type { MountFlags } from '../mount-plan.ts';

const EXAMPLES = `
Examples:
  dfs mount /mnt/dfs
      founds a cluster on this machine the first time, mounts it, and returns to the prompt
  dfs mount /mnt/dfs --join 192.168.1.10 --insecure
      joins the cluster that \`dfs invite\` opened there; from then on \`dfs mount /mnt/dfs\` does

Whoever reaches a listener can read and change every file, unencrypted: one beyond this machine
needs --insecure. Without it a node that joins through the network is a client only: it stores
nothing. Addresses, ports and --cache-size are remembered in config.json of the state folder.`;

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];

export function addMount(program: Command, environment: Environment): void {
  program
    .command('mount')
    .argument('[mountpoint]', 'an empty or missing directory (default: mountpoint of config.json)')
    .summary('mount the filesystem; founds or joins a cluster the first time')
    .description(
      'Founds a cluster on this machine the first time, or joins one with --join, mounts it, and returns once it answers.',
    )
    .option('--state <dir>', 'state folder of this node')
    .option('--join <host[:port]>', 'join the cluster of another machine (port 7480)')
    .option('--token <token>', 'token to join with (no effect yet)')
    .option('--name <name>', 'name of this node, and of the cluster it founds')
    .option('--listen <host[:port]>', 'where the metaserver listens (default 127.0.0.1:7480)')
    .option('--peer-listen <host[:port]>', 'where this node serves its data (default port 7481)')
    .option('--advertise <host>', 'address that others reach this machine at')
    .option('--http <host[:port]>', 'dashboard and REST (no effect yet)')
    .option('--insecure', 'listen beyond this machine without encryption')
    .option('--driver <name>', 'native or fuse-native')
    .option('--cache-size <size>', 'space for cached data, such as 10G')
    .option('--copies <n>', 'copies of each file in the cluster (no effect yet)')
    .option('--read-only', 'mount read-only')
    .option('--foreground', 'stay until the node ends')
    .addOption(
      new Option('-o, --options <list>', 'options as in fstab, comma separated').argParser(collect),
    )
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (mountpoint: string | undefined, flags: MountFlags) => {
      const { runMount } = await import('../mount-flow.ts');
      await runMount({ mountpoint, flags, environment });
    });
}
