import type { Command } from 'commander';
import type { Environment } from '../environment.ts';
import type { UnmountFlags } from '../unmount-flow.ts';

const EXAMPLES = `
Examples:
  dfs unmount /mnt/dfs
      writes everything back, then unmounts; refuses while programs are in it
  dfs unmount /mnt/dfs --force
      unmounts within five seconds, whatever hangs`;

export function addUnmount(program: Command, environment: Environment): void {
  program
    .command('unmount')
    .alias('umount')
    .argument('<mountpoint>')
    .summary('write everything back and unmount')
    .description(
      'Writes everything back and unmounts. A node that runs the cluster, or holds files that others may want, goes on; dfs stop ends it.',
    )
    .option('--state <dir>', 'state folder of the node that serves it')
    .option('--force', 'within five seconds, whatever hangs')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (mountpoint: string, flags: UnmountFlags) => {
      const { runUnmount } = await import('../unmount-flow.ts');
      await runUnmount({ mountpoint, flags, environment });
    });
}
