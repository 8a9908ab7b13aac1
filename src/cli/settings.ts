/**
 * What a flag sets for good: it is checked here, kept in config.json, and read from there by the
 * processes of the node. Nothing is done here.
 */
import { isIP } from 'node:net';
import { parseAddress } from '../common/address.ts';
import type { ConfigChanges } from '../common/config.ts';
import { FsError } from '../common/errno.ts';
import { parseSizeBytes } from '../common/units.ts';
import { sentence, UsageError } from './failure.ts';

/** As typed. */
export interface NodeFlags {
  readonly join?: string;
  readonly name?: string;
  readonly listen?: string;
  readonly peerListen?: string;
  readonly advertise?: string;
  readonly insecure?: boolean;
  readonly cacheSize?: string;
}

/** Where a metaserver listens, and is looked for, when no port is named. */
export const METASERVER_PORT = 7480;
/** Where a node serves its chunks when no port is named. */
export const PEER_PORT = 7481;

/** HOST, HOST:PORT, [v6], [v6]:PORT. @throws UsageError naming the flag */
export function checkAddress(flag: string, text: string | undefined): void {
  if (text === undefined) return;
  try {
    if (parseAddress(text, 0).host !== '') return;
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    throw new UsageError(`${flag}: ${sentence(error)}`);
  }
  throw new UsageError(`${flag} ${text}: give HOST or HOST:PORT`);
}

/** A host alone: the port of what is advertised is the one listened on. */
function checkAdvertise(text: string | undefined): void {
  if (text === undefined) return;
  if (isIP(text) === 6) return;
  checkAddress('--advertise', text);
  if (parseAddress(text, -1).port === -1) return;
  throw new UsageError(`--advertise ${text}: give a host without a port`);
}

/** @throws UsageError for every value that cannot be meant */
export function checkNodeFlags(flags: NodeFlags): void {
  checkAddress('--join', flags.join);
  checkAddress('--listen', flags.listen);
  checkAddress('--peer-listen', flags.peerListen);
  checkAdvertise(flags.advertise);
  const { cacheSize, name } = flags;
  if (cacheSize !== undefined && parseSizeBytes(cacheSize) === undefined) {
    throw new UsageError(`--cache-size ${cacheSize}: give a size such as 10G`);
  }
  if (name !== undefined && !/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,62}$/u.test(name)) {
    throw new UsageError(`--name ${name}: give up to 63 letters, digits, dots and dashes`);
  }
}

/** The given ones, by the keys of config.json; `join` and `name` count only for a new node. */
export function settingsOf(flags: NodeFlags): ConfigChanges {
  const { listen, peerListen, advertise, insecure, cacheSize } = flags;
  return {
    ...(listen === undefined ? {} : { listen }),
    ...(peerListen === undefined ? {} : { peerListen }),
    ...(advertise === undefined ? {} : { advertise }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(cacheSize === undefined ? {} : { cacheSize }),
  };
}
