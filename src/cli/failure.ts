/** How a command ends badly: one sentence on stderr, and 1 failed or 2 wrong usage. */
import { CommanderError } from 'commander';
import { FsError } from '../common/errno.ts';

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** The user typed something that cannot be meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What went wrong, without the errno name that FsError puts in front. */
export function sentence(error: unknown): string {
  if (error instanceof FsError) return withoutCode(error.message, error.code);
  return error instanceof Error ? error.message : String(error);
}

function withoutCode(message: string, code: string): string {
  return message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
}

/** `error: unknown command 'mout'\n(Did you mean mount?)` as one line. */
function usageSentence(error: CommanderError): string {
  return error.message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace('(Did you', '(did you')
    .trim();
}

export interface Ending {
  readonly exitCode: number;
  /** Undefined when everything was said already. */
  readonly message: string | undefined;
}

export function endingOf(error: unknown): Ending {
  if (error instanceof UsageError) return { exitCode: EXIT_USAGE, message: error.message };
  if (!(error instanceof CommanderError)) {
    return { exitCode: EXIT_FAILED, message: sentence(error) };
  }
  if (error.exitCode === 0) return { exitCode: 0, message: undefined };
  // Help that was printed because no command was given.
  if (error.code === 'commander.help') return { exitCode: EXIT_USAGE, message: undefined };
  return { exitCode: EXIT_USAGE, message: `${usageSentence(error)}; see dfs help` };
}
