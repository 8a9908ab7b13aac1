/**
 * The state folder a command works with: the one that is there, one that joins, or a new cluster.
 * First everything that can be refused is refused, then, under the start lock, it is made.
 */
import { wallMs } from '../common/clock.ts';
import { type Config, type ConfigChanges, updateConfig } from '../common/config.ts';
import { FsError } from '../common/errno.ts';
import { hasState, type LoadedState, loadState } from '../common/state-dir.ts';
import type { StateFormat } from '../common/state-format.ts';
import { SystemClock } from '../common/system-clock.ts';
import { type Environment, note } from './environment.ts';
import { sentence, UsageError } from './failure.ts';
import { foundCluster, joinCluster, rootOwner } from './founding.ts';
import {
  askMetaserver,
  type JoinTarget,
  joinAddress,
  judgeJoin,
  refuseOtherCluster,
} from './join-check.ts';
import {
  isClientOnly,
  type ListenConfig,
  planMetaserverListener,
  planPeerListener,
} from './listen-plan.ts';

export interface PrepareInput {
  readonly dir: string;
  /** --join, as typed. */
  readonly join: string | undefined;
  /** Of the folder as it is. */
  readonly config: Config;
  readonly settings: ConfigChanges;
  readonly environment: Environment;
}

const NOTHING_YET = { metaserver: [], peer: undefined };

/** @throws UsageError for listeners that the settings do not allow */
export function checkListeners(config: ListenConfig, founds: boolean): void {
  try {
    if (founds) planMetaserverListener(config, NOTHING_YET);
    planPeerListener(config, NOTHING_YET);
  } catch (error) {
    if (error instanceof FsError) throw new UsageError(sentence(error));
    throw error;
  }
}

function checkSettings({ config, join, settings }: PrepareInput, founds: boolean): void {
  if (!founds && settings.listen !== undefined) {
    throw new UsageError(
      '--listen is for the machine that founds a cluster: a node that joins takes --peer-listen',
    );
  }
  const wanted = join === undefined ? {} : { join };
  checkListeners({ ...config, ...settings, ...(founds ? {} : wanted) }, founds);
}

async function askForFounder(state: StateFormat, address: string): Promise<JoinTarget> {
  try {
    return { ...(await askMetaserver(address)), address };
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    throw new FsError(
      'EINVAL',
      `this node founded the cluster ${state.clusterName}, and cannot join ${address}: leave --join out, or give another --state folder`,
      { cause: error },
    );
  }
}

async function askForJoiner(address: string, environment: Environment): Promise<JoinTarget> {
  const answer = await askMetaserver(address);
  const { uid } = rootOwner(environment);
  const notes = judgeJoin({ address, answer, wallMs: wallMs(new SystemClock()), uid });
  for (const text of notes) note(text);
  return { ...answer, address };
}

/**
 * Checks the settings, and asks the metaserver of --join who it is. Makes nothing.
 * @returns undefined without --join, and where it names what this node has joined already
 * @throws FsError why it cannot be joined · UsageError settings that contradict each other
 */
export async function planJoin(input: PrepareInput): Promise<JoinTarget | undefined> {
  const { dir, join, config, environment } = input;
  const state = (await hasState(dir)) ? await loadState(dir) : undefined;
  const founds = state === undefined ? join === undefined : state.roles.includes('metaserver');
  checkSettings(input, founds);
  if (join === undefined) return undefined;
  const address = joinAddress(join);
  if (state !== undefined && founds) refuseOtherCluster(state, await askForFounder(state, address));
  if (state !== undefined && config.join !== undefined && joinAddress(config.join) === address) {
    return undefined;
  }
  const target = await askForJoiner(address, environment);
  if (state !== undefined) refuseOtherCluster(state, target);
  return target;
}

export interface Prepared {
  readonly state: LoadedState;
  readonly made: 'founded' | 'joined' | undefined;
  /** Settings differ from those that a running process was started with. */
  readonly changed: boolean;
}

export interface OpenInput {
  readonly dir: string;
  readonly name: string | undefined;
  readonly settings: ConfigChanges;
  readonly target: JoinTarget | undefined;
  readonly environment: Environment;
}

function noteClientOnly(config: ListenConfig): void {
  if (!isClientOnly(config)) return;
  note(
    'note: this node joins as a client only: it stores nothing, and its files go to other nodes; with --insecure it serves data too, unencrypted',
  );
}

/** The caller holds the start lock. @throws FsError with a sentence for an unusable folder */
export async function openState(input: OpenInput): Promise<Prepared> {
  const { dir, settings, target } = input;
  if (await hasState(dir)) {
    const state = await loadState(dir);
    // Another command may have made it since the plan.
    if (target !== undefined) refuseOtherCluster(state, target);
    const changes = target === undefined ? settings : { ...settings, join: target.address };
    return { state, made: undefined, changed: await updateConfig(dir, changes) };
  }
  if (target === undefined) {
    return { state: await foundCluster(input), made: 'founded', changed: false };
  }
  const state = await joinCluster(input, target);
  noteClientOnly({ ...settings, join: target.address });
  return { state, made: 'joined', changed: false };
}
