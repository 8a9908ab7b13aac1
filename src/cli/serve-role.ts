/**
 * The life of a long-running dfs process: load the state, take the role's lock, open the parts,
 * say that it is ready, serve until a signal or POST /stop, close everything in reverse order.
 */

import { FsError } from '../common/errno.ts';
import { aborted, DisposeStack, within } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { type LoadedState, loadState, prepareRuntime } from '../common/state-dir.ts';
import { refuseDfsMount } from '../common/state-location.ts';
import { lockState } from '../common/state-lock.ts';
import type { StateRole } from '../common/state-paths.ts';
import type { Environment } from './environment.ts';
import { sentence } from './failure.ts';
import { Readiness } from './readiness.ts';

/** What the parts of a role are opened with. */
export interface RoleContext {
  readonly state: LoadedState;
  readonly log: Logger;
  /** Aborted when the process is to end. */
  readonly signal: AbortSignal;
  /** Closed in reverse order at the end. */
  readonly stack: DisposeStack;
  /** Ends the process in good order. */
  stop(): void;
  /** Ends it with exit status 1. */
  fail(error: Error): void;
}

export interface RoleOptions {
  readonly role: StateRole;
  /** Absolute. */
  readonly stateDir: string;
  readonly environment: Environment;
  open(context: RoleContext): Promise<void>;
}

/** Closing writes back what is dirty; past this the process ends as if it had been killed. */
const CLOSE_MS = 90_000;

class Life {
  readonly #stop = new AbortController();
  readonly #log: Logger;
  #ready = false;
  #failure: Error | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  listen(): void {
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => this.#onSignal(name));
    }
    process.on('uncaughtException', (error) => {
      this.#log.error('a defect in dfs, the process ends', { error });
      process.exit(1);
    });
  }

  started(): void {
    this.#ready = true;
  }

  stop(): void {
    this.#stop.abort();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#stop.abort();
  }

  /** Before it is ready there is nothing to write back, and a wait to be cut short. */
  #onSignal(name: string): void {
    this.#log.info('asked to end', { signal: name });
    if (!this.#ready) process.exit(1);
    this.stop();
  }
}

async function close(stack: DisposeStack, log: Logger): Promise<void> {
  try {
    await within(stack[Symbol.asyncDispose](), CLOSE_MS, 'ending in good order');
  } catch (error) {
    log.error('did not end in good order', { error });
    process.exit(1);
  }
}

async function openRole(options: RoleOptions, life: Life, stack: DisposeStack): Promise<void> {
  const { role, stateDir, environment } = options;
  await refuseDfsMount(stateDir);
  const state = await loadState(stateDir);
  await prepareRuntime(state.paths);
  stack.use(await lockState(state.paths, role));
  await options.open({
    state,
    log: environment.log,
    signal: life.signal,
    stack,
    stop: () => life.stop(),
    fail: (error) => life.fail(error),
  });
}

/** Returns when the process has ended in good order. @throws what kept it from starting */
export async function serveRole(options: RoleOptions): Promise<void> {
  const { log, env } = options.environment;
  // Whatever a daemon makes is its owner's alone, unless it says otherwise.
  process.umask(0o077);
  const readiness = new Readiness(env);
  const life = new Life(log);
  life.listen();
  const stack = new DisposeStack();
  try {
    await openRole(options, life, stack);
  } catch (error) {
    readiness.failed(sentence(error));
    log.error('cannot start', { role: options.role, error });
    await close(stack, log);
    throw error;
  }
  life.started();
  readiness.ready();
  log.info('ready', { role: options.role, state: options.stateDir, pid: process.pid });
  await aborted(life.signal);
  await close(stack, log);
  log.info('ended', { role: options.role });
  if (life.failure !== undefined) {
    throw new FsError('EIO', `the ${options.role} had to stop: ${sentence(life.failure)}`);
  }
}
