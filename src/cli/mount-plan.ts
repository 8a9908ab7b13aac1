/** What one `dfs mount` is to do: flags over -o over config.json over defaults. Nothing is done here. */
import type { Config, ConfigChanges } from '../common/config.ts';
import { didYouMean } from '../common/suggest.ts';
import type { MountRequest } from '../mount/mounted.ts';
import type { CommonFlags } from './environment.ts';
import { UsageError } from './failure.ts';
import { type MountOptions, parseMountOptions } from './mount-options.ts';
import { checkAddress, checkNodeFlags, type NodeFlags, settingsOf } from './settings.ts';

export interface MountFlags extends CommonFlags, NodeFlags {
  readonly token?: string;
  readonly http?: string;
  readonly driver?: string;
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
  /** What the flags set for good. */
  readonly settings: ConfigChanges;
  /** Flags that are accepted and do nothing in this version, as typed. */
  readonly withoutEffect: readonly string[];
}

const COPIES_MAX = 16;

function parseDriver(text: string): DriverName {
  const driver = DRIVERS.find((name) => name === text);
  if (driver !== undefined) return driver;
  throw new UsageError(`unknown driver '${text}'${didYouMean(text, DRIVERS)}`);
}

function checkValues(flags: MountFlags): void {
  checkNodeFlags(flags);
  checkAddress('--http', flags.http);
  const { copies } = flags;
  if (copies !== undefined && !(/^\d+$/.test(copies) && +copies >= 1 && +copies <= COPIES_MAX)) {
    throw new UsageError(`--copies ${copies}: give a number from 1 to ${COPIES_MAX}`);
  }
}

/** What is not built yet. */
function withoutEffect(flags: MountFlags): string[] {
  const given: readonly (readonly [string, unknown])[] = [
    ['--token', flags.token],
    ['--http', flags.http],
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
    settings: {
      ...settingsOf(flags),
      ...(options.insecure === true ? { insecure: true } : {}),
    },
    withoutEffect: withoutEffect(flags),
  };
}
