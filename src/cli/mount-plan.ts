/** What one `dfs mount` is to do: flags over -o over config.json over defaults. Nothing is done here. */
import type { Config } from '../common/config.ts';
import { didYouMean } from '../common/suggest.ts';
import { parseSizeBytes } from '../common/units.ts';
import type { MountRequest } from '../mount/mounted.ts';
import type { CommonFlags } from './environment.ts';
import { UsageError } from './failure.ts';
import { type MountOptions, parseMountOptions } from './mount-options.ts';

export interface MountFlags extends CommonFlags {
  readonly join?: string;
  readonly token?: string;
  readonly name?: string;
  readonly listen?: string;
  readonly peerListen?: string;
  readonly advertise?: string;
  readonly http?: string;
  readonly insecure?: boolean;
  readonly driver?: string;
  readonly cacheSize?: string;
  readonly copies?: string;
  readonly readOnly?: boolean;
  readonly foreground?: boolean;
  readonly options?: readonly string[];
}

const DRIVERS = ['native', 'fuse-native'] as const;
export type DriverName = (typeof DRIVERS)[number];

export interface MountPlan {
  /** `mountpoint` as typed or configured; not yet resolved. */
  readonly request: MountRequest;
  readonly driver: DriverName;
  /** Flags that are accepted and do nothing in this version, as typed. */
  readonly withoutEffect: readonly string[];
}

const COPIES_MAX = 16;

function parseDriver(text: string): DriverName {
  const driver = DRIVERS.find((name) => name === text);
  if (driver !== undefined) return driver;
  throw new UsageError(`unknown driver '${text}'${didYouMean(text, DRIVERS)}`);
}

/** HOST, HOST:PORT, [v6], [v6]:PORT. */
function checkAddress(flag: string, text: string | undefined): void {
  if (text === undefined) return;
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (match !== null && Number(match[1] ?? 0) <= 65_535) return;
  throw new UsageError(`${flag} ${text}: give HOST or HOST:PORT`);
}

function checkValues(flags: MountFlags): void {
  checkAddress('--listen', flags.listen);
  checkAddress('--peer-listen', flags.peerListen);
  checkAddress('--http', flags.http);
  checkAddress('--join', flags.join);
  const { cacheSize, copies, name } = flags;
  if (cacheSize !== undefined && parseSizeBytes(cacheSize) === undefined) {
    throw new UsageError(`--cache-size ${cacheSize}: give a size such as 10G`);
  }
  if (copies !== undefined && !(/^\d+$/.test(copies) && +copies >= 1 && +copies <= COPIES_MAX)) {
    throw new UsageError(`--copies ${copies}: give a number from 1 to ${COPIES_MAX}`);
  }
  if (name !== undefined && !/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,62}$/u.test(name)) {
    throw new UsageError(`--name ${name}: give up to 63 letters, digits, dots and dashes`);
  }
}

/** What the cluster parts will need, once there is more than one machine. */
function withoutEffect(flags: MountFlags): string[] {
  const given: readonly (readonly [string, unknown])[] = [
    ['--token', flags.token],
    ['--listen', flags.listen],
    ['--peer-listen', flags.peerListen],
    ['--advertise', flags.advertise],
    ['--http', flags.http],
    ['--insecure', flags.insecure],
    ['--cache-size', flags.cacheSize],
    ['--copies', flags.copies],
  ];
  return given.filter(([, value]) => value !== undefined).map(([flag]) => flag);
}

/** The folder that -o names, for a line in fstab; it counts as --state. */
export function stateFlag(flags: MountFlags): string | undefined {
  return flags.state ?? parseMountOptions(flags.options ?? []).stateDir;
}

export interface PlanInput {
  readonly mountpoint: string | undefined;
  readonly flags: MountFlags;
  readonly config: Config;
  readonly uid: number;
}

function configured(config: Config): MountOptions {
  const { mountOptions, readOnly } = config;
  const options = mountOptions === undefined ? {} : parseMountOptions([mountOptions]);
  return readOnly === undefined ? options : { ...options, readOnly };
}

/** @throws UsageError for every value that cannot be meant */
export function planMount({ mountpoint, flags, config, uid }: PlanInput): MountPlan {
  checkValues(flags);
  const target = mountpoint ?? config.mountpoint;
  if (target === undefined) {
    throw new UsageError('where to? give a mountpoint, as in dfs mount /mnt/dfs');
  }
  const options = { ...configured(config), ...parseMountOptions(flags.options ?? []) };
  return {
    request: {
      mountpoint: target,
      readOnly: flags.readOnly ?? options.readOnly ?? false,
      waitMs: options.waitMs,
      suid: options.suid ?? false,
      dev: options.dev ?? false,
      exec: options.exec ?? true,
      allowOther: options.allowOther ?? uid === 0,
      uid: options.uid,
      gid: options.gid,
    },
    driver: parseDriver(flags.driver ?? config.driver ?? 'native'),
    withoutEffect: withoutEffect(flags),
  };
}
