import { type Command, Option } from 'commander';
import type { Environment } from '../environment.ts';
import type { MountFlags } from '../mount-plan.ts';

const EXAMPLES = `
Examples:
  dfs mount /mnt/dfs
      founds a cluster on this machine the first time, mounts it, and returns to the prompt
  dfs mount /srv/archive --state /data/dfs --read-only -o noexec,wait=30s
      mounts the cluster whose state lies in /data/dfs, read-only`;

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];

export function addMount(program: Command, environment: Environment): void {
  program
    .command('mount')
    .argument('[mountpoint]', 'an empty or missing directory (default: mountpoint of config.json)')
    .summary('mount the filesystem; founds a cluster the first time')
    .description(
      'Founds a cluster on this machine the first time, mounts it, and returns once it answers.',
    )
    .option('--state <dir>', 'state folder of this node')
    .option('--join <host[:port]>', 'join the cluster of another machine (not built yet)')
    .option('--token <token>', 'token to join with')
    .option('--name <name>', 'name of this node, and of the cluster it founds')
    .option('--listen <host[:port]>', 'where the metaserver listens for other machines')
    .option('--peer-listen <host[:port]>', 'where this node serves its data')
    .option('--advertise <host>', 'address that others reach this machine at')
    .option('--http <host[:port]>', 'dashboard and REST')
    .option('--insecure', 'listen beyond this machine without encryption')
    .option('--driver <name>', 'native or fuse-native')
    .option('--cache-size <size>', 'space for cached data, such as 10G')
    .option('--copies <n>', 'copies of each file in the cluster')
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
