/**
 * Whether this machine may join the cluster that answers at an address, asked before anything is
 * made for it. The decisions are pure; `askMetaserver` is the one call.
 */
import { formatAddress, parseAddress } from '../common/address.ts';
import { FsError } from '../common/errno.ts';
import type { ClusterId } from '../common/ids.ts';
import { describeMetaserver, type MetaserverDescription } from '../common/rpc/describe.ts';
import { WIRE_VERSION } from '../common/rpc/wire-version.ts';
import type { StateFormat } from '../common/state-format.ts';
import { sentence } from './failure.ts';
import { METASERVER_PORT } from './settings.ts';

const DESCRIBE_MS = 10_000;
/** File times of the two machines would visibly disagree. */
const SKEW_NOTE_MS = 10_000;
const SKEW_REFUSED_MS = 3_600_000;

/** A cluster to join. */
export interface JoinTarget {
  /** HOST:PORT, as it is remembered. */
  readonly address: string;
  readonly clusterId: ClusterId;
  readonly clusterName: string;
}

/** The metaserver of --join, with its port. */
export function joinAddress(text: string): string {
  return formatAddress(parseAddress(text, METASERVER_PORT));
}

const CHECKS: ReadonlyMap<string, string> = new Map([
  ['EHOSTUNREACH', 'check the name and the network'],
  ['EPROTO', 'give the address that `dfs invite` printed on the founding machine'],
]);

/** @throws FsError naming the address and what to check there */
export async function askMetaserver(
  address: string,
  timeoutMs = DESCRIBE_MS,
): Promise<MetaserverDescription> {
  try {
    return await describeMetaserver(address, timeoutMs);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    const check =
      CHECKS.get(error.code) ??
      'check that dfs runs there, that `dfs invite` there opened it to the network, and that no firewall is in between';
    const message = `cannot join through ${address}: ${sentence(error)}; ${check}`;
    throw new FsError(error.code, message, { cause: error });
  }
}

export interface JoinCircumstances {
  readonly address: string;
  readonly answer: MetaserverDescription;
  /** This machine's clock when the answer came, milliseconds since 1970. */
  readonly wallMs: number;
  /** Who will use the files: the user behind sudo, else this one. */
  readonly uid: number;
}

/** Positive: the metaserver's clock is ahead. */
function skewMs({ answer, wallMs }: JoinCircumstances): number {
  return answer.wallMs - (wallMs - answer.rttMs / 2);
}

function formatSkew(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function refuseWire({ address, answer }: JoinCircumstances): void {
  const theirs = answer.wireVersion;
  if (theirs.major === WIRE_VERSION.major) return;
  const older = theirs.major < WIRE_VERSION.major ? `the dfs of ${address}` : 'the dfs here';
  throw new FsError(
    'EPROTO',
    `${address} speaks wire version ${theirs.major}.${theirs.minor}, this dfs ${WIRE_VERSION.major}.${WIRE_VERSION.minor}: update ${older}`,
  );
}

/**
 * @returns what the user should know although it is no obstacle
 * @throws FsError EPROTO another wire version · EINVAL the clocks are over an hour apart
 */
export function judgeJoin(circumstances: JoinCircumstances): readonly string[] {
  const { address, answer, uid } = circumstances;
  refuseWire(circumstances);
  const skew = skewMs(circumstances);
  const apart = `the clock of this machine is ${formatSkew(skew)} ${skew > 0 ? 'behind' : 'ahead of'} that of ${address}`;
  if (Math.abs(skew) > SKEW_REFUSED_MS) {
    throw new FsError('EINVAL', `${apart}: set the clocks, then join again`);
  }
  const notes: string[] = [];
  if (Math.abs(skew) > SKEW_NOTE_MS) {
    notes.push(`note: ${apart}: file times will disagree, and make may be misled; set the clocks`);
  }
  if (answer.rootUid !== uid) {
    notes.push(
      `note: the root directory belongs to uid ${answer.rootUid}, you are uid ${uid}: ids are the same numbers on every machine (-o uid=,gid= shows all files as one user's)`,
    );
  }
  return notes;
}

/**
 * A folder belongs to one cluster for life, and its founder serves that cluster itself.
 * @throws FsError EINVAL with what to do instead
 */
export function refuseOtherCluster(
  state: StateFormat & { readonly dir: string },
  target: JoinTarget,
): void {
  const own = `the cluster ${state.clusterName} (${state.clusterId})`;
  const foreign = target.clusterId !== state.clusterId;
  if (foreign) {
    throw new FsError(
      'EINVAL',
      `this node belongs to ${own}, and ${target.address} serves ${target.clusterName}: give another --state folder to join that`,
    );
  }
  if (!state.roles.includes('metaserver')) return;
  throw new FsError(
    'EINVAL',
    `this node founded ${own} and serves it itself: leave --join out, or give another --state folder for a second node`,
  );
}
