import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import type { Command } from 'commander';
import { WIRE_VERSION } from '../../common/rpc/wire-version.ts';
import { STATE_FORMAT } from '../../common/state-format.ts';
import { loadFuseNative } from '../../mount/driver/fuse-native/load.ts';
import { type CommonFlags, say, sayJson } from '../environment.ts';

const EXAMPLES = `
Examples:
  dfs version
      version of dfs, of its wire and store formats, of node and kernel
  dfs version --json
      the same for programs`;

/** Two levels above dist/src/cli/commands lies dist; the package is beside it. */
const PACKAGE = new URL('../../../../package.json', import.meta.url);

async function packageVersion(): Promise<string> {
  const document: unknown = JSON.parse(await readFile(PACKAGE, 'utf8'));
  const known = typeof document === 'object' && document !== null && 'version' in document;
  return known ? String(document.version) : 'unknown';
}

async function showVersion(flags: CommonFlags): Promise<void> {
  const fuseNative = await loadFuseNative();
  const version = await packageVersion();
  const wire = `${WIRE_VERSION.major}.${WIRE_VERSION.minor}`;
  const known = { version, wire, format: STATE_FORMAT, node: process.version, kernel: release() };
  if (flags.json === true) return sayJson({ ...known, fuseNative });
  say(`dfs ${version}`);
  say(`wire version  ${wire}`);
  say(`state format  ${STATE_FORMAT}`);
  say(`node          ${process.version}`);
  say(`kernel        ${release()}`);
  say(`fuse-native   ${fuseNative.loads ? 'loads' : fuseNative.reason}`);
}

export function addVersion(program: Command): void {
  program
    .command('version')
    .summary('versions of dfs, its formats, node and kernel')
    .description('Shows the versions of dfs, its wire and store formats, node and kernel.')
    .option('--state <dir>', 'accepted for uniformity')
    .option('--json', 'one JSON document')
    .addHelpText('after', EXAMPLES)
    .action((flags: CommonFlags) => showVersion(flags));
}
