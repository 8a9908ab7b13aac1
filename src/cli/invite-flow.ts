/**
 * `dfs invite`: opens a running cluster to the network, remembers that, and prints the line to
 * type on the next machine. Doing it again changes nothing and prints the same.
 */
import { networkInterfaces } from 'node:os';
import { type Address, formatAddress, isLoopback, parseAddress } from '../common/address.ts';
import { type Config, loadConfig, updateConfig } from '../common/config.ts';
import { FsError } from '../common/errno.ts';
import { readListenRecord } from '../common/listen-record.ts';
import type { LoadedState } from '../common/state-dir.ts';
import { type CommonFlags, type Environment, note, say, sayJson } from './environment.ts';
import { findState } from './find-state.ts';
import { joinCommand, planInvite, waysIn } from './invite-plan.ts';
import { joinAddress } from './join-check.ts';
import { machineAddresses } from './machine-addresses.ts';
import { isMetaserverUp, postListenMetaserver, postListenNode } from './node-client.ts';
import { underStartLock } from './start-lock.ts';

export interface InviteFlags extends CommonFlags {
  readonly readOnly?: boolean;
  readonly once?: boolean;
}

function refuseUnbuilt(flags: InviteFlags): void {
  const flag = flags.readOnly === true ? '--read-only' : '--once';
  if (flags.readOnly !== true && flags.once !== true) return;
  throw new FsError(
    'EOPNOTSUPP',
    `${flag} needs tokens, which are not built yet: without it, whoever reaches the port may join`,
  );
}

function notRunning(state: LoadedState): FsError {
  return new FsError(
    'ENOTCONN',
    `nothing of ${state.dir} runs: \`dfs mount MOUNTPOINT\` starts it, then invite again`,
  );
}

/** Opens both listeners. @returns where the metaserver is reached from other machines */
async function open(state: LoadedState, config: Config, addresses: string[]): Promise<string[]> {
  const { paths } = state;
  const record = await readListenRecord(paths);
  const plan = planInvite({
    config,
    remembered: { metaserver: record.metaserver[0]?.port, peer: record.peer?.port },
    addresses,
  });
  if (!(await isMetaserverUp(paths))) throw notRunning(state);
  const peer = await postListenNode(paths, plan.peer);
  const listeners = await postListenMetaserver(paths, plan.metaserver);
  if (listeners === undefined) throw notRunning(state);
  await updateConfig(state.dir, plan.settings);
  if (peer === undefined) {
    note('note: the node does not run; when `dfs mount` starts it, it serves its data there too');
  }
  return waysIn({ listeners, addresses, advertise: config.advertise });
}

function openUnderLock(state: LoadedState, addresses: string[]): Promise<string[]> {
  return underStartLock(state.dir, async () => open(state, await loadConfig(state.dir), addresses));
}

/** Without a network there is still a second node on the same machine to try it with. */
async function onThisMachine(state: LoadedState): Promise<string[]> {
  note('note: this machine has no network interface besides loopback: only it can join');
  const { metaserver } = await readListenRecord(state.paths);
  const local = metaserver.find(({ host }: Address) => isLoopback(host));
  if (local === undefined) throw notRunning(state);
  return [formatAddress(local)];
}

/** Who joined from elsewhere knows the way in; the rest is up to the founder. */
function throughFounder(config: Config): string[] {
  const address = config.join === undefined ? undefined : joinAddress(config.join);
  if (address !== undefined && !isLoopback(parseAddress(address, 0).host)) return [address];
  throw new FsError(
    'EOPNOTSUPP',
    'this node joined a cluster on this same machine: run `dfs invite --state DIR` for the folder that founded it',
  );
}

function report(ways: readonly string[], founds: boolean, flags: InviteFlags): void {
  const [first = '', ...others] = ways;
  const command = joinCommand(first);
  if (flags.json === true) {
    sayJson({ join: first, addresses: ways, command });
    return;
  }
  say('dfs: on the next machine, type');
  say('');
  say(`    ${command}`);
  say('');
  if (others.length > 0) say(`dfs: other addresses of this machine: ${others.join(', ')}`);
  if (!founds || isLoopback(parseAddress(first, 0).host)) return;
  say(
    'dfs: whoever reaches this port can read and change every file, and nothing is encrypted: use it only in a network you trust (tokens and TLS come later)',
  );
}

export async function runInvite(flags: InviteFlags, environment: Environment): Promise<void> {
  refuseUnbuilt(flags);
  const state = await findState({ environment, flag: flags.state });
  const founds = state.roles.includes('metaserver');
  if (!founds) return report(throughFounder(await loadConfig(state.dir)), founds, flags);
  const addresses = machineAddresses(networkInterfaces());
  const ways =
    addresses.length === 0 ? await onThisMachine(state) : await openUnderLock(state, addresses);
  report(ways, founds, flags);
}
