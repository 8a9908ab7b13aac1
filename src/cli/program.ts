/** The command line as a whole: every command, one way of saying what is wrong. */
import { Command } from 'commander';
import { addFlush } from './commands/flush.ts';
import { addFsck } from './commands/fsck.ts';
import { addHelp } from './commands/help.ts';
import { addInfo } from './commands/info.ts';
import { addInvite } from './commands/invite.ts';
import { addLocks } from './commands/locks.ts';
import { addMetaserver } from './commands/metaserver.ts';
import { addMount } from './commands/mount.ts';
import { addMountHelper } from './commands/mount-helper.ts';
import { addPeer, addServeNode } from './commands/peer.ts';
import { addStatus } from './commands/status.ts';
import { addStop } from './commands/stop.ts';
import { addUnmount } from './commands/unmount.ts';
import { addVersion } from './commands/version.ts';
import type { Environment } from './environment.ts';

const EXAMPLES = `
Examples:
  dfs mount /mnt/dfs      found a cluster the first time, and mount it
  dfs invite              open it to other machines, and print the line to type there
  dfs status              what runs, what is mounted, what is wrong

The state of a node lies in --state DIR, else $DFS_STATE, else /var/lib/dfs for root, else
~/.local/state/dfs. \`dfs help COMMAND\` tells more.`;

/**
 * Commands load what they need when they run, so that `dfs version` stays quick. Wrong usage is
 * thrown as CommanderError and said once, in main.ts.
 */
export function buildProgram(environment: Environment): Command {
  const program = new Command('dfs');
  program
    .description('One POSIX directory on every machine.')
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .showSuggestionAfterError()
    .addHelpText('after', EXAMPLES);
  addMount(program, environment);
  addUnmount(program, environment);
  addInvite(program, environment);
  addStatus(program, environment);
  addInfo(program, environment);
  addLocks(program, environment);
  addFsck(program, environment);
  addFlush(program, environment);
  addStop(program, environment);
  addMetaserver(program, environment);
  addPeer(program, environment);
  addVersion(program);
  addHelp(program);
  addServeNode(program, environment);
  addMountHelper(program, environment);
  return program;
}
