/** What mount(8) runs for `mount -t fuse.dfs` and for lines of fstab: /sbin/mount.fuse.dfs. */
import { type Command, Option } from 'commander';
import type { Environment } from '../environment.ts';
import { UsageError } from '../failure.ts';
import type { MountFlags } from '../mount-plan.ts';

interface HelperFlags {
  readonly options?: readonly string[];
  readonly fake?: boolean;
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];

/** The first field of fstab: a state folder, or a word that means the usual one. */
function stateOf(source: string): { state?: string; join?: string } {
  if (source.startsWith('/')) return { state: source };
  if (source === 'dfs' || source === 'none' || source.startsWith('dfs:')) return {};
  return { join: source };
}

export function addMountHelper(program: Command, environment: Environment): void {
  program
    .command('mount-helper', { hidden: true })
    .argument('<source>')
    .argument('<mountpoint>')
    .addOption(new Option('-o, --options <list>').argParser(collect))
    .option('-f, --fake')
    .option('-n')
    .option('-s')
    .option('-v')
    .option('-t <type>')
    .option('-N <namespace>')
    .action(async (source: string, mountpoint: string, flags: HelperFlags) => {
      if (flags.fake === true) return;
      const { options } = flags;
      const given: MountFlags = options === undefined ? {} : { options };
      if (!mountpoint.startsWith('/')) throw new UsageError(`${mountpoint} is no absolute path`);
      const { runMount } = await import('../mount-flow.ts');
      await runMount({ mountpoint, flags: { ...stateOf(source), ...given }, environment });
    });
}
