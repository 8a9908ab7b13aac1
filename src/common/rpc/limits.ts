/** What both ends of a connection hold to. */
export interface Limits {
  /** A larger message ends its stream unread. */
  readonly messageBytes: number;
  /** What may be on its way to one end, of a stream and of the connection. */
  readonly windowBytes: number;
}

const MIB = 1024 * 1024;

/** Messages of sessions stay below 256 KiB; anything near this is a fault of the other side. */
export const SESSION_LIMITS: Limits = { messageBytes: MIB, windowBytes: MIB };
/** Frames of data have up to 512 KiB; the window holds 400 MB/s at 10 ms. */
export const CHUNK_LIMITS: Limits = { messageBytes: 2 * MIB, windowBytes: 4 * MIB };

/** Rule K2: each end asks after so long, and gives the connection up without an answer. */
export const PING_MS = 5_000;
export const PING_TIMEOUT_MS = 5_000;
