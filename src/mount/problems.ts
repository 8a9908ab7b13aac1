/** What of this node a person should know of, and what to do about it. */
import type { Clock } from '../common/clock.ts';
import { type WaitingRequest, waitingText } from '../common/core/waiting.ts';
import type { Member } from './member.ts';
import type { Mounted } from './mounted.ts';
import { silentSince } from './peer-session.ts';
import { LONG_MS } from './watchdog.ts';

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly action: string;
}

export interface ProblemSources {
  readonly member: Member;
  readonly mounted: Mounted | undefined;
  readonly clock: Clock;
  readonly stateDir: string;
  /** Files in lost+found. */
  readonly lostFiles: number;
  /** The metaserver answers. */
  readonly reachable: boolean;
  /** Requests of programs that wait, oldest first. */
  readonly waiting: readonly WaitingRequest[];
}

const SKEW_MS_MAX = 10_000;

export function localProblems(sources: ProblemSources): Problem[] {
  return [...sources.member.peer.status().problems, ...found(sources)];
}

function* found(sources: ProblemSources): Iterable<Problem> {
  if (!sources.reachable) {
    yield metaserverDown(sources);
    // While it answers, it names whom this node cannot reach.
    yield* unreachablePeers(sources);
  }
  const skewMs = sources.member.wallSkewMs;
  if (Math.abs(skewMs) > SKEW_MS_MAX) yield clockOff(skewMs);
  yield* stuckRequest(sources);
  if (sources.lostFiles > 0) yield lostFiles(sources);
  yield* journalProblems(sources);
}

function* journalProblems({ member, mounted, stateDir }: ProblemSources): Iterable<Problem> {
  if (member.journalProblem !== undefined) {
    yield {
      code: 'journal-unreadable',
      message: `what programs wrote before the last start may not all be published: the journal cannot be used (${member.journalProblem})`,
      action: `see ${stateDir}/lost+found; ${stateDir}/journal.unread is the journal as it was`,
    };
  }
  const { size } = member.data.journal.files;
  if (mounted !== undefined || size === 0) return;
  yield {
    code: 'unpublished',
    message: `what was written to ${size === 1 ? '1 file' : `${size} files`} here is not published yet`,
    action: 'run `dfs mount` again: the next mount of this node publishes it',
  };
}

function lostFiles({ lostFiles: count, stateDir }: ProblemSources): Problem {
  return {
    code: 'lost-and-found',
    message: `${count === 1 ? 'what was written to 1 file' : `what was written to ${count} files`} could not be merged with what others wrote`,
    action: `see ${stateDir}/lost+found (INODE.LEASE, each byte in its place), and remove what is not needed`,
  };
}

function secondsSince({ clock }: ProblemSources, sinceMs: number): number {
  return Math.max(0, Math.round((clock.bootMs() - sinceMs) / 1000));
}

function metaserverDown(sources: ProblemSources): Problem {
  const { member, mounted } = sources;
  const session = mounted?.session;
  const sinceMs = session?.up === false ? silentSince(session) : member.session.silentSinceMs;
  return {
    code: 'metaserver-down',
    message: `the metaserver does not answer (for ${secondsSince(sources, sinceMs)} s)`,
    action: 'run the same `dfs mount` again on its machine: it starts what does not run',
  };
}

function* unreachablePeers(sources: ProblemSources): Iterable<Problem> {
  const { data, probe } = sources.member;
  for (const { name, nodeId } of data.view.map.peers.values()) {
    const sinceMs = probe.silentSince(nodeId);
    if (sinceMs === undefined) continue;
    yield {
      code: 'peer-unreachable',
      message: `${name} does not answer this node (for ${secondsSince(sources, sinceMs)} s)`,
      action: 'see whether dfs runs there, and whether a firewall stands between',
    };
  }
}

function clockOff(skewMs: number): Problem {
  const direction = skewMs > 0 ? 'behind' : 'ahead of';
  return {
    code: 'clock-off',
    message: `the clock of this machine is ${Math.round(Math.abs(skewMs) / 1000)} s ${direction} the metaserver’s`,
    action: 'let both take their time from the same source (NTP): file times are wrong meanwhile',
  };
}

function* stuckRequest({ waiting }: ProblemSources): Iterable<Problem> {
  const [slowest] = waiting;
  if (slowest === undefined || slowest.ms < LONG_MS) return;
  yield {
    code: 'request-stuck',
    message: `a program waits for ${waitingText(slowest)}`,
    action: stuckAction(slowest.for),
  };
}

function stuckAction(whom: string): string {
  if (whom === 'disk' || whom === 'here') {
    return 'see log/node.log, and whether the disk that holds the state folder answers';
  }
  if (whom === 'lease') {
    return 'see whether dfs runs on that machine; one that stays silent is waited for 14 s';
  }
  return 'it fails with EIO at its bound; see the problems above for the cause';
}
