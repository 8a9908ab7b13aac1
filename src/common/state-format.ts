/**
 * format.json: what makes a folder a state folder. Written last when a node is founded, so its
 * presence says that everything else is there.
 */
import { FsError } from './errno.ts';
import { asClusterId, asNodeId, type ClusterId, isHexId, type NodeId } from './ids.ts';

export const STATE_MAGIC = 'dfs-state';
export const STATE_FORMAT = 1;

const ROLES = ['metaserver', 'peer', 'mount'] as const;
export type NodeRole = (typeof ROLES)[number];

export interface StateFormat {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly nodeId: NodeId;
  readonly nodeName: string;
  readonly roles: readonly NodeRole[];
}

export function encodeStateFormat(format: StateFormat): string {
  const { clusterId, clusterName, nodeId, nodeName, roles } = format;
  const document = { magic: STATE_MAGIC, format: STATE_FORMAT };
  return `${JSON.stringify({ ...document, clusterId, clusterName, nodeId, nodeName, roles }, null, 2)}\n`;
}

function isRole(value: unknown): value is NodeRole {
  return ROLES.some((role) => role === value);
}

function field(document: object, name: string): unknown {
  return new Map<string, unknown>(Object.entries(document)).get(name);
}

function parseJson(source: string, path: string): object {
  let document: unknown;
  try {
    document = JSON.parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FsError(
      'EINVAL',
      `${path} is damaged (${source === '' ? 'empty' : 'not valid JSON'}): restore it from a backup; nothing was changed`,
      { cause: error },
    );
  }
  if (typeof document !== 'object' || document === null) {
    throw new FsError('EINVAL', `${path} is damaged (no object): restore it from a backup`);
  }
  return document;
}

/** @throws FsError EINVAL with a sentence that names `path` and what to do */
export function decodeStateFormat(source: string, path: string): StateFormat {
  const document = parseJson(source, path);
  const refuse = (why: string): never => {
    throw new FsError('EINVAL', `${path} ${why}`);
  };
  if (field(document, 'magic') !== STATE_MAGIC) {
    refuse('belongs to another program: choose another folder with --state');
  }
  const format = field(document, 'format');
  if (typeof format !== 'number' || !Number.isInteger(format) || format < 1) {
    refuse('is damaged (no format number): restore it from a backup');
  } else if (format > STATE_FORMAT) {
    refuse(
      `has format ${format}, newer than ${STATE_FORMAT}, the newest this dfs knows: use the dfs that wrote it`,
    );
  }
  const clusterId = field(document, 'clusterId');
  const nodeId = field(document, 'nodeId');
  const clusterName = field(document, 'clusterName');
  const nodeName = field(document, 'nodeName');
  const roles = field(document, 'roles');
  const whole =
    isHexId(clusterId) &&
    isHexId(nodeId) &&
    typeof clusterName === 'string' &&
    typeof nodeName === 'string' &&
    Array.isArray(roles) &&
    roles.length > 0 &&
    roles.every(isRole);
  if (!whole) return refuse('is damaged (fields are missing): restore it from a backup');
  return {
    clusterId: asClusterId(clusterId),
    clusterName,
    nodeId: asNodeId(nodeId),
    nodeName,
    roles: roles.filter(isRole),
  };
}
