/**
 * listen.json of a state folder: where this node listened last, so that a restart comes back under
 * the same ports. It is a memory, not a setting: what the user wants stands in config.json.
 */
import { chmod, readFile } from 'node:fs/promises';
import type { Address } from './address.ts';
import { writeFileDurably } from './durable-file.ts';
import { FsError, systemCode, toFsError } from './errno.ts';
import type { StatePaths } from './state-paths.ts';

export interface ListenRecord {
  readonly metaserver: readonly Address[];
  /** The chunk service. */
  readonly peer: Address | undefined;
}

function decodeAddress(value: unknown): Address | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const host: unknown = 'host' in value ? value.host : undefined;
  const port: unknown = 'port' in value ? value.port : undefined;
  const fits = typeof host === 'string' && typeof port === 'number' && Number.isInteger(port);
  return fits && port > 0 && port <= 65_535 ? { host, port } : undefined;
}

function decode(source: string, path: string): ListenRecord {
  let document: unknown;
  try {
    document = JSON.parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (typeof document !== 'object' || document === null) {
    throw new FsError('EINVAL', `${path} is damaged: delete it, and dfs chooses its ports anew`);
  }
  const listed: unknown = 'metaserver' in document ? document.metaserver : undefined;
  const metaserver = (Array.isArray(listed) ? listed : []).flatMap((value: unknown) => {
    const address = decodeAddress(value);
    return address === undefined ? [] : [address];
  });
  return { metaserver, peer: decodeAddress('peer' in document ? document.peer : undefined) };
}

/** A missing file is an empty record. @throws FsError EINVAL it is damaged */
export async function readListenRecord(paths: StatePaths): Promise<ListenRecord> {
  const path = paths.listenRecord;
  try {
    return decode(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { metaserver: [], peer: undefined };
    throw toFsError(error, `cannot read ${path}`);
  }
}

/** Readable by all, as the status is, whatever the umask of a daemon. */
export async function writeListenRecord(paths: StatePaths, record: ListenRecord): Promise<void> {
  const text = `${JSON.stringify(record, null, 2)}\n`;
  await writeFileDurably(paths.listenRecord, text, { mode: 0o644 });
  await chmod(paths.listenRecord, 0o644);
}
