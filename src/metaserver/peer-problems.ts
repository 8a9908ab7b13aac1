/** What is wrong with the peers, and what to do about it. */
import type { Problem } from '../../gen/meta.ts';
import type { NodeId } from '../common/ids.ts';
import type { KnownPeer } from './peers.ts';

/** `50 s`, `7 min`, `3 h`, `4 d`: as much as a reader needs. */
function howLong(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

function down({ name, sinceMs }: KnownPeer, nowMs: number): Problem {
  return {
    code: 'peer-down',
    message: `${name} has been down for ${howLong(nowMs - sinceMs)}`,
    action: 'start it again: what it stores gives errors until then',
  };
}

/** As somebody on another machine would look for it. */
function placeOf(name: string, address: string): string {
  if (address === '') return name;
  return address.startsWith(':') ? `port ${address.slice(1)} of ${name}` : address;
}

function unreachable(name: string, address: string, from: string): Problem {
  return {
    code: 'peer-unreachable',
    message: `${name} cannot be reached from ${from}`,
    action: `let ${from} connect to ${placeOf(name, address)}: look at firewalls, and at --advertise on ${name}`,
  };
}

function clientOnly({ name, address, clientReason }: KnownPeer): Problem {
  const until =
    address === ''
      ? `\`dfs mount --insecure\` on ${name} lets it serve them, unencrypted`
      : 'one of those can reach it';
  return {
    code: 'client-only',
    message: `${name} stores no files: ${clientReason}`,
    action: `its files are stored by other peers until ${until}`,
  };
}

/** @param nowMs milliseconds since 1970 */
export function peerProblems(peers: readonly KnownPeer[], nowMs: number): Problem[] {
  const names = new Map<NodeId, string>(peers.map(({ nodeId, name }) => [nodeId, name]));
  return peers.flatMap((peer) => {
    const { up, stores, undecided, name, address, unreachableFrom } = peer;
    if (!up) return stores ? [down(peer, nowMs)] : [];
    if (!stores) return undecided ? [] : [clientOnly(peer)];
    return unreachableFrom.map((from) => unreachable(name, address, names.get(from) ?? from));
  });
}
