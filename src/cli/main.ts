/** Entry of every dfs process. Reads the environment once, runs one command, sets the exit code. */
import { fileURLToPath } from 'node:url';
import { JsonLogger } from '../common/log.ts';
import type { Environment } from './environment.ts';
import { note } from './environment.ts';
import { endingOf } from './failure.ts';
import { buildProgram } from './program.ts';

function readEnvironment(): Environment {
  const { env } = process;
  return {
    env,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    colour: process.stdout.isTTY && (env['NO_COLOR'] ?? '') === '',
    program: fileURLToPath(import.meta.url),
    log: JsonLogger.create('', env['DFS_LOG'] ?? ''),
  };
}

async function main(): Promise<number> {
  try {
    await buildProgram(readEnvironment()).parseAsync();
    return 0;
  } catch (error) {
    const { exitCode, message } = endingOf(error);
    if (message !== undefined) note(message);
    return exitCode;
  }
}

// A helper thread may still be stuck in the kernel; what was printed has been written by now.
process.exit(await main());
