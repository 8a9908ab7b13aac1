/**
 * INIT: what this kernel offers, what we take, and what is missing by name. DFS_FUSE_MASK hides
 * capabilities so that the ways round a missing one are tested on any kernel.
 */
import { FsError } from '../../../common/errno.ts';

/** Bits 0-31 are `flags`, 32-63 are `flags2` of fuse_init_in. */
const CAPABILITY_BIT = {
  ASYNC_READ: 0,
  POSIX_LOCKS: 1,
  ATOMIC_O_TRUNC: 3,
  BIG_WRITES: 5,
  DONT_MASK: 6,
  FLOCK_LOCKS: 10,
  AUTO_INVAL_DATA: 12,
  DO_READDIRPLUS: 13,
  READDIRPLUS_AUTO: 14,
  ASYNC_DIO: 15,
  PARALLEL_DIROPS: 18,
  ABORT_ERROR: 21,
  MAX_PAGES: 22,
  CACHE_SYMLINKS: 23,
  EXPLICIT_INVAL_DATA: 25,
  HANDLE_KILLPRIV_V2: 28,
  SETXATTR_EXT: 29,
  INIT_EXT: 30,
  DIRECT_IO_ALLOW_MMAP: 36,
  PASSTHROUGH: 37,
  HAS_RESEND: 39,
} as const;

export type Capability = keyof typeof CAPABILITY_BIT;

const NAMES = Object.keys(CAPABILITY_BIT) as Capability[];

/** Taken whenever offered. Data the kernel keeps is taken back by name. */
const WANTED: readonly Capability[] = [
  'ASYNC_READ',
  'POSIX_LOCKS',
  'FLOCK_LOCKS',
  'ATOMIC_O_TRUNC',
  'BIG_WRITES',
  'DONT_MASK',
  'DO_READDIRPLUS',
  'READDIRPLUS_AUTO',
  'ASYNC_DIO',
  'PARALLEL_DIROPS',
  'ABORT_ERROR',
  'MAX_PAGES',
  'CACHE_SYMLINKS',
  'EXPLICIT_INVAL_DATA',
  'HANDLE_KILLPRIV_V2',
  'SETXATTR_EXT',
  'INIT_EXT',
  'DIRECT_IO_ALLOW_MMAP',
];

/** Else locks stay with the kernel. */
export const LOCKING: readonly Capability[] = ['POSIX_LOCKS', 'FLOCK_LOCKS'];

/** Without these the answers below would be misread; every kernel since 4.20 has them. */
const REQUIRED: readonly Capability[] = ['ATOMIC_O_TRUNC', 'BIG_WRITES', 'DONT_MASK', 'MAX_PAGES'];

export const MAJOR = 7;
const MINOR_MAX = 45;
/** Linux 6.1. */
const MINOR_FLOOR = 37;

export interface CapabilityMask {
  readonly minorMax: number;
  readonly hidden: ReadonlySet<Capability>;
}

/** Named kernels of DFS_FUSE_MASK: what they lack of the list above. */
const KERNELS: Readonly<Record<string, CapabilityMask>> = {
  '6.1': {
    minorMax: 37,
    hidden: new Set<Capability>(['DIRECT_IO_ALLOW_MMAP', 'PASSTHROUGH', 'HAS_RESEND']),
  },
};

function isCapability(name: string): name is Capability {
  return name in CAPABILITY_BIT;
}

/**
 * @param text a kernel ("6.1") or capability names, comma separated; empty hides nothing
 * @throws FsError EINVAL for an unknown word
 */
export function parseMask(text: string): CapabilityMask {
  let minorMax = MINOR_MAX;
  const hidden = new Set<Capability>();
  for (const word of text.split(',').map((part) => part.trim())) {
    if (word === '') continue;
    const kernel = KERNELS[word];
    if (kernel !== undefined) {
      minorMax = Math.min(minorMax, kernel.minorMax);
      for (const capability of kernel.hidden) hidden.add(capability);
    } else if (isCapability(word)) hidden.add(word);
    else throw new FsError('EINVAL', `DFS_FUSE_MASK: unknown capability or kernel '${word}'`);
  }
  return { minorMax, hidden };
}

/** The one record of what this connection may use. */
export interface KernelCapabilities {
  readonly minor: number;
  readonly offered: ReadonlySet<Capability>;
  readonly taken: ReadonlySet<Capability>;
}

export interface InitOffer {
  readonly minor: number;
  readonly flags: number;
  readonly flags2: number;
}

/**
 * @param unwanted what is not built behind it
 * @throws FsError EPROTO when the kernel is below the floor
 */
export function negotiate(
  offer: InitOffer,
  mask: CapabilityMask,
  unwanted: readonly Capability[] = [],
): KernelCapabilities {
  const minor = Math.min(offer.minor, mask.minorMax);
  const offered = new Set<Capability>();
  for (const name of NAMES) {
    const bit = CAPABILITY_BIT[name];
    const word = bit < 32 ? offer.flags : offer.flags2;
    if (((word >>> (bit % 32)) & 1) === 1 && !mask.hidden.has(name)) offered.add(name);
  }
  const missing = REQUIRED.filter((name) => !offered.has(name));
  if (minor < MINOR_FLOOR || missing.length > 0) {
    const lacks = missing.length > 0 ? `, without ${missing.join(', ')}` : '';
    throw new FsError('EPROTO', `this kernel speaks FUSE 7.${minor}${lacks}; Linux 6.1 is needed`);
  }
  const taken = WANTED.filter((name) => offered.has(name) && !unwanted.includes(name));
  return { minor, offered, taken: new Set(taken) };
}

/** The two flag words of the INIT reply. */
export function flagWords(taken: ReadonlySet<Capability>): { flags: number; flags2: number } {
  let flags = 0;
  let flags2 = 0;
  for (const name of taken) {
    const bit = CAPABILITY_BIT[name];
    if (bit < 32) flags = (flags | (1 << bit)) >>> 0;
    else flags2 = (flags2 | (1 << (bit - 32))) >>> 0;
  }
  return { flags, flags2 };
}

/** What this kernel lacks of what dfs can use, for `dfs status`. */
export function lacking(capabilities: KernelCapabilities): Capability[] {
  return NAMES.filter((name) => !capabilities.offered.has(name));
}
