/** Positive Linux errno numbers; the only ones dfs answers with. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  EPROTO: 71,
  EOPNOTSUPP: 95,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  EDQUOT: 122,
} as const;

export type ErrnoName = keyof typeof ERRNO;

const NAMES = new Map<number, ErrnoName>(
  (Object.entries(ERRNO) as [ErrnoName, number][]).map(([name, errno]) => [errno, name]),
);

/** An operating error: expected, handled, answerable to the kernel. A bug is an AssertionError. */
export class FsError extends Error {
  override readonly name = 'FsError';
  readonly code: ErrnoName;

  constructor(code: ErrnoName, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }

  /** Positive; negated only where the FUSE reply is written. */
  get errno(): number {
    return ERRNO[this.code];
  }
}

/** The name of a Linux errno; numbers dfs does not know count as EIO. */
export function errnoName(errno: number): ErrnoName {
  return NAMES.get(errno) ?? 'EIO';
}

export function isErrnoName(code: unknown): code is ErrnoName {
  return typeof code === 'string' && code in ERRNO;
}

/** The `code` of a Node system error (`ENOENT`), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Turns a system error of the host into the FsError a caller may answer with. */
export function toFsError(error: unknown, what: string): FsError {
  if (error instanceof FsError) return error;
  const code = systemCode(error);
  const message = error instanceof Error ? error.message : String(error);
  return new FsError(isErrnoName(code) ? code : 'EIO', `${what}: ${message}`, { cause: error });
}
