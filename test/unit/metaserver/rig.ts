/** An engine on a store in memory, and requests for it. */
import assert from 'node:assert/strict';
import { Reply, type Request, type RequestId } from '../../../gen/meta.ts';
import { type Clock, ManualClock } from '../../../src/common/clock.ts';
import { errnoName } from '../../../src/common/errno.ts';
import { asEpoch, ROOT_INO } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { foundingWrites } from '../../../src/metaserver/cluster.ts';
import { MetaEngine } from '../../../src/metaserver/engine.ts';
import type { Kv } from '../../../src/metaserver/kv.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import { CLUSTER, NODE } from './fixture.ts';

export type Op = NonNullable<Request['op']>;
export type Result = NonNullable<Reply['result']>;

type ResultOf<Case extends Result['$case']> = Extract<Result, { $case: Case }>['value'];

export const NO_SPACE_PROBLEM = { mayGrow: () => true, problem: () => undefined };

export async function foundIn(kv: Kv): Promise<void> {
  const rootOwner = { uid: 0, gid: 0 };
  const names = { clusterId: CLUSTER, clusterName: 'test', nodeId: NODE };
  await kv.commit(foundingWrites({ ...names, rootOwner, clock: new ManualClock() }), asEpoch(1));
}

export async function openEngine(
  kv: Kv,
  onFatal?: (error: Error) => void,
  clock: Clock = new ManualClock(),
): Promise<MetaEngine> {
  return MetaEngine.open({
    kv,
    clusterId: CLUSTER,
    clock,
    log: silentLogger,
    space: NO_SPACE_PROBLEM,
    onFatal: onFatal ?? ((error) => assert.fail(error)),
  });
}

export function makeOp(name: string, mode = 0o100644, parent = ROOT_INO): Op {
  return {
    $case: 'make',
    value: {
      parent: BigInt(parent),
      name: Buffer.from(name, 'latin1'),
      mode,
      rdev: 0,
      target: new Uint8Array(0),
      caller: { uid: 0, gid: 0 },
      openExisting: false,
    },
  };
}

export function removeOp(name: string, knownIno: bigint, knownOpen = false): Op {
  const bytes = Buffer.from(name, 'latin1');
  const known = { knownIno, knownOpen };
  return { $case: 'remove', value: { parent: 1n, name: bytes, directory: false, ...known } };
}

export function readdirOp(cookie = 0, entriesMax = 0): Op {
  return {
    $case: 'readdir',
    value: { ino: 1n, cookie: BigInt(cookie), entriesMax, withAttrs: true },
  };
}

export function requestId(unique: number, acked = 0): RequestId {
  return { connection: 7n, unique: BigInt(unique), acked: BigInt(acked) };
}

export function request(op: Op | undefined, id?: RequestId): Request {
  return { id: 1n, requestId: id, noGrant: true, op };
}

/** The reply to one request, errors as `E...`. */
export async function ask(
  engine: MetaEngine,
  session: Session,
  op: Op | undefined,
  id?: RequestId,
): Promise<Result | string> {
  const { promise, resolve } = deferred<Uint8Array>();
  engine.execute(session, request(op, id), resolve);
  const { errno, result } = Reply.decode(await promise);
  if (result === undefined) return errnoName(errno);
  assert.equal(errno, 0);
  return result;
}

export function resultOf<Case extends Result['$case']>(
  answer: Result | string,
  expected: Case,
): ResultOf<Case> {
  if (typeof answer === 'string') throw new Error(`answered ${answer}`);
  if (answer.$case !== expected) throw new Error(`answered ${answer.$case}`);
  return answer.value as ResultOf<Case>;
}
