/**
 * When the database may still grow. LevelDB must be able to write even a delete, so growth stops
 * while there is space left; below that, a file kept for the purpose gives its space back, and
 * growth stays off until the file is whole again.
 */
const MEBIBYTE = 1024 * 1024;
const LOW_BYTES_MAX = 64 * MEBIBYTE;
const RESERVE_BYTES_MAX = 1024 * MEBIBYTE;

export interface SpaceState {
  readonly totalBytes: number;
  /** Free for this process; on a full disk 0. */
  readonly freeBytes: number;
  /** What the reserve file holds now. */
  readonly reserveBytes: number;
  /** What it should hold. */
  readonly reserveBytesWanted: number;
}

export interface SpaceDecision {
  readonly mayGrow: boolean;
  readonly reserve: 'keep' | 'release' | 'refill';
}

/** Growth stops below it: 64 MiB, less on small disks. */
export function lowWaterBytes(totalBytes: number): number {
  return Math.min(LOW_BYTES_MAX, Math.floor(totalBytes / 50));
}

/** The reserve is given up below it. */
export function emergencyBytes(totalBytes: number): number {
  return Math.floor(lowWaterBytes(totalBytes) / 4);
}

/** @param freeBytes of the disk when the cluster is founded */
export function reserveBytesFor(freeBytes: number): number {
  return Math.min(RESERVE_BYTES_MAX, Math.floor(freeBytes / 20));
}

export function decideSpace(state: SpaceState): SpaceDecision {
  const { totalBytes, freeBytes, reserveBytes, reserveBytesWanted } = state;
  if (reserveBytes < reserveBytesWanted) {
    const roomy = freeBytes > 3 * reserveBytesWanted;
    return { mayGrow: false, reserve: roomy ? 'refill' : 'keep' };
  }
  const release = reserveBytes > 0 && freeBytes < emergencyBytes(totalBytes);
  const mayGrow = !release && freeBytes >= lowWaterBytes(totalBytes);
  return { mayGrow, reserve: release ? 'release' : 'keep' };
}
