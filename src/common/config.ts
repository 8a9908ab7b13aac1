/**
 * config.json of a state folder: what a user may set once instead of typing it. Flags win over
 * it, it wins over the defaults. One schema says what is known; anything else is refused by name,
 * because a misspelled key that is silently ignored is a setting the user believes in.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  ['listen', { field: 'listen', expects: 'HOST[:PORT]', parse: text }],
  ['peerListen', { field: 'peerListen', expects: 'HOST[:PORT]', parse: text }],
  ['advertise', { field: 'advertise', expects: 'a host name or address', parse: text }],
  ['http', { field: 'http', expects: 'HOST[:PORT]', parse: text }],
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

/** @throws FsError EINVAL naming `path` and the key */
export function parseConfig(source: string, path: string): Config {
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
  const entries = Object.entries(document).map(([name, value]) => parseKey(path, name, value));
  return Object.freeze(Object.fromEntries(entries));
}

/** The configuration of a state folder; a missing file is an empty one. */
export async function loadConfig(stateDir: string): Promise<Config> {
  const path = join(stateDir, CONFIG_FILE);
  let source: string;
  try {
    source = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return {};
    throw toFsError(error, `cannot read ${path}`);
  }
  return parseConfig(source, path);
}
