/**
 * config.json of a state folder: what a user may set once instead of typing it. Flags win over
 * it, it wins over the defaults. One schema says what is known; anything else is refused by name,
 * because a misspelled key that is silently ignored is a setting the user believes in.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAddress } from './address.ts';
import { writeFileDurably } from './durable-file.ts';
import { FsError, systemCode, toFsError } from './errno.ts';
import { didYouMean } from './suggest.ts';
import { parseSizeBytes } from './units.ts';

export interface Config {
  /** This node's name. */
  readonly name?: string;
  /** Where `dfs mount` without an argument mounts. */
  readonly mountpoint?: string;
  /** As after `-o`. */
  readonly mountOptions?: string;
  readonly readOnly?: boolean;
  readonly driver?: string;
  readonly cacheBytes?: number;
  readonly copies?: number;
  /** The metaserver that this node joined; a founder has none. */
  readonly join?: string;
  readonly listen?: string;
  readonly peerListen?: string;
  readonly advertise?: string;
  readonly http?: string;
  readonly insecure?: boolean;
}

type Value = string | number | boolean;

interface Key {
  /** Where the value lands in Config. */
  readonly field: keyof Config;
  readonly expects: string;
  /** The value to keep, or undefined when it is not acceptable. */
  parse(value: unknown): Value | undefined;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
const flag = (value: unknown): boolean | undefined =>
  typeof value === 'boolean' ? value : undefined;

/** Bytes as a number, or as people type them. */
function size(value: unknown): number | undefined {
  if (typeof value === 'string') return parseSizeBytes(value);
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function copies(value: unknown): number | undefined {
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 16;
  return fits ? value : undefined;
}

/** HOST or HOST:PORT, kept as typed. */
function address(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return parseAddress(value, 0).host === '' ? undefined : value;
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
}

const absolute = (value: unknown): string | undefined => {
  const path = text(value);
  return path?.startsWith('/') === true ? path : undefined;
};

const KEYS: ReadonlyMap<string, Key> = new Map<string, Key>([
  ['name', { field: 'name', expects: 'a name', parse: text }],
  ['mountpoint', { field: 'mountpoint', expects: 'an absolute path', parse: absolute }],
  ['mountOptions', { field: 'mountOptions', expects: 'options as after -o', parse: text }],
  ['readOnly', { field: 'readOnly', expects: 'true or false', parse: flag }],
  ['driver', { field: 'driver', expects: '"native" or "fuse-native"', parse: text }],
  ['cacheSize', { field: 'cacheBytes', expects: 'a size such as "10G"', parse: size }],
  ['copies', { field: 'copies', expects: 'a number from 1 to 16', parse: copies }],
  ['join', { field: 'join', expects: 'HOST[:PORT]', parse: address }],
  ['listen', { field: 'listen', expects: 'HOST[:PORT]', parse: address }],
  ['peerListen', { field: 'peerListen', expects: 'HOST[:PORT]', parse: address }],
  ['advertise', { field: 'advertise', expects: 'a host name or address', parse: text }],
  ['http', { field: 'http', expects: 'HOST[:PORT]', parse: address }],
  ['insecure', { field: 'insecure', expects: 'true or false', parse: flag }],
]);

export const CONFIG_FILE = 'config.json';

function parseKey(path: string, name: string, value: unknown): [keyof Config, Value] {
  const key = KEYS.get(name);
  if (key === undefined) {
    const hint = didYouMean(name, [...KEYS.keys()]);
    throw new FsError('EINVAL', `${path} has an unknown key "${name}"${hint}`);
  }
  const parsed = key.parse(value);
  if (parsed !== undefined) return [key.field, parsed];
  throw new FsError(
    'EINVAL',
    `${path}: "${name}" must be ${key.expects}, not ${JSON.stringify(value)}`,
  );
}

/** @throws FsError EINVAL naming `path` */
function parseObject(source: string, path: string): object {
  let document: unknown;
  try {
    document = JSON.parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FsError('EINVAL', `${path} is not valid JSON: ${error.message}`, { cause: error });
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new FsError('EINVAL', `${path} must hold one JSON object`);
  }
  return document;
}

/** @throws FsError EINVAL naming `path` and the key */
export function parseConfig(source: string, path: string): Config {
  const entries = Object.entries(parseObject(source, path));
  return Object.freeze(
    Object.fromEntries(entries.map(([name, value]) => parseKey(path, name, value))),
  );
}

/** The text of a state folder's config.json; a missing file is an empty one. */
async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '{}';
    throw toFsError(error, `cannot read ${path}`);
  }
}

/** The configuration of a state folder. @throws FsError EINVAL naming the file and the key */
export async function loadConfig(stateDir: string): Promise<Config> {
  const path = join(stateDir, CONFIG_FILE);
  return parseConfig(await readConfig(path), path);
}

/** What commands remember for the next time, by the keys of config.json. */
export interface ConfigChanges {
  readonly name?: string;
  readonly join?: string;
  readonly listen?: string;
  readonly peerListen?: string;
  readonly advertise?: string;
  readonly insecure?: boolean;
  readonly cacheSize?: string;
}

/** `source` with `changes`; what else the user wrote there stays. */
export function changeConfig(source: string, changes: ConfigChanges, path: string): string {
  const text = `${JSON.stringify({ ...parseObject(source, path), ...changes }, null, 2)}\n`;
  parseConfig(text, path);
  return text;
}

/**
 * Remembers settings, durably. The caller holds the start lock.
 * @returns whether anything changed
 */
export async function updateConfig(stateDir: string, changes: ConfigChanges): Promise<boolean> {
  const path = join(stateDir, CONFIG_FILE);
  const source = await readConfig(path);
  const before = new Map<string, unknown>(Object.entries(parseObject(source, path)));
  if (Object.entries(changes).every(([name, value]) => before.get(name) === value)) return false;
  await writeFileDurably(path, changeConfig(source, changes, path), { mode: 0o600 });
  return true;
}
