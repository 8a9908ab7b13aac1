/** Asks a metaserver who it is, before anything is made for it. */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { DescribeReply } from '../../../gen/meta.ts';
import { FsError } from '../errno.ts';
import { asClusterId, type ClusterId, isHexId, safeInteger } from '../ids.ts';
import { deferred } from '../lifecycle.ts';
import { dialMetaserver } from './channel.ts';

export interface MetaserverDescription {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly wireVersion: { readonly major: number; readonly minor: number };
  /** Its clock, milliseconds since 1970, about half of `rttMs` before this is returned. */
  readonly wallMs: number;
  /** Owner of the root directory. */
  readonly rootUid: number;
  readonly rttMs: number;
}

function refusal(error: ServiceError, address: string, timeoutMs: number): FsError {
  const options = { cause: error };
  if (error.code === status.DEADLINE_EXCEEDED) {
    const message = `no answer from ${address} within ${timeoutMs / 1000} s`;
    return new FsError('ETIMEDOUT', message, options);
  }
  if (/ENOTFOUND|EAI_AGAIN|Name resolution failed/.test(error.details)) {
    return new FsError('EHOSTUNREACH', `the host of ${address} is not known`, options);
  }
  if (/ECONNREFUSED|ENOENT/.test(error.details)) {
    return new FsError('ECONNREFUSED', `nobody listens at ${address}`, options);
  }
  if (/EHOSTUNREACH|ENETUNREACH/.test(error.details)) {
    return new FsError('EHOSTUNREACH', `${address} cannot be reached`, options);
  }
  return new FsError('EPROTO', `what answers at ${address} is not a dfs metaserver`, options);
}

function decode(reply: DescribeReply, address: string, rttMs: number): MetaserverDescription {
  const clusterId = Buffer.from(reply.clusterId).toString('hex');
  const isTime = Number.isSafeInteger(Number(reply.wallMs));
  if (!isHexId(clusterId) || reply.wireVersion === undefined || !isTime) {
    throw new FsError('EPROTO', `what answers at ${address} is not a dfs metaserver`);
  }
  return {
    clusterId: asClusterId(clusterId),
    clusterName: reply.clusterName,
    wireVersion: { major: reply.wireVersion.major, minor: reply.wireVersion.minor },
    wallMs: safeInteger(reply.wallMs),
    rootUid: reply.rootUid,
    rttMs,
  };
}

/**
 * @param address `unix:PATH` or HOST:PORT
 * @throws FsError EHOSTUNREACH · ECONNREFUSED · ETIMEDOUT · EPROTO it is no dfs metaserver
 */
export async function describeMetaserver(
  address: string,
  timeoutMs: number,
): Promise<MetaserverDescription> {
  const client = dialMetaserver(address);
  const started = performance.now();
  const answer = deferred<DescribeReply>();
  const bound = { deadline: Date.now() + timeoutMs };
  client.describe({}, new Metadata(), bound, (error, reply) => {
    if (error === null) answer.resolve(reply);
    else answer.reject(refusal(error, address, timeoutMs));
  });
  try {
    const reply = await answer.promise;
    return decode(reply, address, performance.now() - started);
  } finally {
    client.close();
  }
}
