/** `dfs fsck` from this node: the namespace at the metaserver, and the backing files here. */
import type { FsckReply } from '../../gen/meta.ts';
import type {
  FsckCode,
  FsckReport,
  NamespaceReport,
  ShownName,
} from '../common/core/fsck-report.ts';
import { FsError } from '../common/errno.ts';
import { asIno, type Ino, safeInteger } from '../common/ids.ts';
import { delay } from '../common/lifecycle.ts';
import type { SessionClient } from '../common/rpc/session-client.ts';
import type { Peer } from '../peer/node.ts';

export interface FsckParts {
  readonly session: Pick<SessionClient, 'request'>;
  readonly peer: Pick<Peer, 'strays'>;
  readonly nodeName: string;
}

const POLL_MS = 100;

/** @throws FsError EIO the metaserver is away, or cannot read its database */
export async function fsck({ nodeName, peer, session }: FsckParts): Promise<FsckReport> {
  const namespace = await checkNamespace(session);
  const backing = {
    machine: nodeName,
    ...(await peer.strays((inos) => askStrays(session, inos))),
  };
  const clean = Object.keys(namespace.counts).length === 0 && backing.strays === 0;
  return { clean, namespace, backing };
}

/** Begun anew with a metaserver that was started anew. */
async function checkNamespace(session: FsckParts['session']): Promise<NamespaceReport> {
  for (let run = 0n; ; ) {
    try {
      const reply = await ask(session, run);
      if (reply.done) return reportOf(reply);
      run = reply.run;
    } catch (error) {
      if (run === 0n || !(error instanceof FsError) || error.code !== 'ENOENT') throw error;
      run = 0n;
    }
    await delay(POLL_MS);
  }
}

async function ask(session: FsckParts['session'], run: bigint): Promise<FsckReply> {
  const result = await session.request({ $case: 'fsck', value: { run } });
  if (result.$case !== 'fsck') throw new FsError('EPROTO', 'not the state of a check');
  return result.value;
}

async function askStrays(
  session: FsckParts['session'],
  inos: readonly Ino[],
): Promise<readonly Ino[]> {
  const value = { inos: inos.map((ino) => BigInt(ino)) };
  const result = await session.request({ $case: 'backingFiles', value });
  if (result.$case !== 'backingFiles') throw new FsError('EPROTO', 'not what belongs to no file');
  return result.value.strays.map(asIno);
}

function reportOf(reply: FsckReply): NamespaceReport {
  const { counts, findings, inodes, names, openers, reclaimPending } = reply;
  return {
    inodes: safeInteger(inodes),
    names: safeInteger(names),
    openers: safeInteger(openers),
    reclaimPending: safeInteger(reclaimPending),
    counts: Object.fromEntries(counts.map(({ code, count }) => [code, safeInteger(count)])),
    findings: findings.map(({ code, dir, ino, message, name }) => ({
      // A newer metaserver may know more of them.
      code: code as FsckCode,
      ino: safeInteger(ino),
      dir: safeInteger(dir),
      name: shown(name),
      message,
    })),
  };
}

function shown(bytes: Uint8Array): ShownName {
  const buffer = Buffer.from(bytes);
  const text = buffer.toString('utf8');
  return Buffer.from(text).equals(buffer) ? text : { b64: buffer.toString('base64') };
}
