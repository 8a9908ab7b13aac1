/**
 * What stands after -o, in fstab and on the command line. The later of two contradicting options
 * wins, as with mount(8). An unknown one is an error: silence would hide a typing mistake.
 */
import { didYouMean } from '../common/suggest.ts';
import { parseDurationMs } from '../common/units.ts';
import { UsageError } from './failure.ts';

export interface MountOptions {
  readonly readOnly?: boolean;
  readonly suid?: boolean;
  readonly dev?: boolean;
  readonly exec?: boolean;
  readonly allowOther?: boolean;
  readonly waitMs?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly stateDir?: string;
  /** As --insecure, for a line in fstab. */
  readonly insecure?: boolean;
}

const SWITCHES: ReadonlyMap<string, MountOptions> = new Map<string, MountOptions>([
  ['rw', { readOnly: false }],
  ['ro', { readOnly: true }],
  ['suid', { suid: true }],
  ['nosuid', { suid: false }],
  ['dev', { dev: true }],
  ['nodev', { dev: false }],
  ['exec', { exec: true }],
  ['noexec', { exec: false }],
  ['allow_other', { allowOther: true }],
  ['insecure', { insecure: true }],
  // Always so, or the business of mount(8) and the service manager.
  ['default_permissions', {}],
  ['defaults', {}],
  ['_netdev', {}],
  ['auto', {}],
  ['noauto', {}],
  ['nofail', {}],
  ['user', {}],
  ['nouser', {}],
  ['users', {}],
]);

const ID_MAX = 0xffff_fffe;

function parseWait(value: string): MountOptions {
  const waitMs = parseDurationMs(value);
  if (waitMs !== undefined && waitMs > 0) return { waitMs };
  throw new UsageError(`-o wait=${value}: give a duration such as wait=30s`);
}

function parseId(name: 'uid' | 'gid', value: string): MountOptions {
  const id = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(id <= ID_MAX)) throw new UsageError(`-o ${name}=${value}: give a number`);
  return name === 'uid' ? { uid: id } : { gid: id };
}

function parseState(value: string): MountOptions {
  if (value.startsWith('/')) return { stateDir: value };
  throw new UsageError(`-o state=${value}: give an absolute path`);
}

const VALUES: ReadonlyMap<string, (value: string) => MountOptions> = new Map([
  ['wait', parseWait],
  ['uid', (value: string) => parseId('uid', value)],
  ['gid', (value: string) => parseId('gid', value)],
  ['state', parseState],
]);

function parseOption(option: string): MountOptions {
  if (option === '' || option.startsWith('x-') || option.startsWith('comment=')) return {};
  const plain = SWITCHES.get(option);
  if (plain !== undefined) return plain;
  const equals = option.indexOf('=');
  const name = equals < 0 ? option : option.slice(0, equals);
  const parse = VALUES.get(name);
  if (parse === undefined || equals < 0) {
    const known = [...SWITCHES.keys(), ...[...VALUES.keys()].map((key) => `${key}=`)];
    throw new UsageError(`unknown mount option '${option}'${didYouMean(option, known)}`);
  }
  return parse(option.slice(equals + 1));
}

/** @throws UsageError naming the option */
export function parseMountOptions(lists: readonly string[]): MountOptions {
  const options = lists.flatMap((list) => list.split(',')).map((option) => option.trim());
  return Object.assign({}, ...options.map(parseOption)) as MountOptions;
}
