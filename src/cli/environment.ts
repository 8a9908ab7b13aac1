/** What a command may know of the process it runs in; read once, in main.ts. */
import type { Logger } from '../common/log.ts';
import type { StateEnvironment } from '../common/state-location.ts';

export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly gid: number;
  /** Colour and redrawing are for terminals that want them. */
  readonly colour: boolean;
  /** Absolute path of main.js, to start further processes with. */
  readonly program: string;
  readonly log: Logger;
}

/** Options every command has. */
export interface CommonFlags {
  readonly state?: string;
  readonly json?: boolean;
}

export function stateEnvironment(environment: Environment, flag?: string): StateEnvironment {
  return { flag, env: environment.env, uid: environment.uid };
}

/** A result for people. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The one document of `--json`. */
export function sayJson(document: object): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** Progress and remarks, apart from the result. */
export function note(text: string): void {
  process.stderr.write(`dfs: ${text}\n`);
}
