import type { Command } from 'commander';
import type { CommonFlags, Environment } from '../environment.ts';

interface StatusFlags extends CommonFlags {
  readonly watch?: boolean;
}

const EXAMPLES = `
Examples:
  dfs status
      cluster, metaserver, peers, this node's mount, and open problems with what to do; a line
      "waits" for each request of a program that hangs, with the machine it waits for:
      waits       write of src/a.c (inode 1025), 6 s: machine "nas" has not given it up
  dfs status --json
      the same for programs, with stable field names (requests that wait: mounts[].waiting)`;

const WATCH_MS = 2_000;
/** Cursor to the top, then clear what is below. */
const REDRAW = '\x1b[H\x1b[2J';

async function showStatus(flags: StatusFlags, environment: Environment): Promise<void> {
  const { say, sayJson } = await import('../environment.ts');
  const { findState } = await import('../find-state.ts');
  const { statusDocument } = await import('../status-document.ts');
  const { statusText } = await import('../status-text.ts');
  const { delay } = await import('../../common/lifecycle.ts');
  do {
    const state = await findState({ environment, flag: flags.state });
    const document = await statusDocument(state);
    if (flags.json === true) sayJson(document);
    else {
      const redraw = flags.watch === true && process.stdout.isTTY ? REDRAW : '';
      say(`${redraw}${statusText(document, { colour: environment.colour })}`);
    }
    if (flags.watch === true) await delay(WATCH_MS);
  } while (flags.watch === true);
}

export function addStatus(program: Command, environment: Environment): void {
  program
    .command('status')
    .summary('what runs, what is mounted, what waits for whom, what is wrong and what to do')
    .description('Shows cluster, metaserver, peers, mount, who waits for whom, and open problems.')
    .option('--state <dir>', 'state folder of the node')
    .option('--watch', 'again every two seconds')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: StatusFlags) => showStatus(flags, environment));
}
