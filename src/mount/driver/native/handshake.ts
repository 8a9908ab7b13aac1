/** The INIT exchange: the first request of a connection, answered from the capability record. */
import { INIT_OUT_BYTES, OPCODE } from './abi.ts';
import {
  type CapabilityMask,
  flagWords,
  type KernelCapabilities,
  LOCKING,
  MAJOR,
  negotiate,
} from './capabilities.ts';
import type { FuseConnection } from './connection.ts';

export const MAX_WRITE_BYTES = 1024 * 1024;
const MAX_READAHEAD_BYTES = 1024 * 1024;
const MAX_PAGES = MAX_WRITE_BYTES / 4096;
const MAX_BACKGROUND = 128;
const CONGESTION_THRESHOLD = 96;
const TIME_GRANULARITY_NS = 1;

/**
 * Handles the request in `slot` as the INIT it must be.
 * @returns the capabilities, or undefined when the kernel will send another INIT
 * @throws FsError EPROTO when this kernel cannot be served
 */
export function answerInit(
  fuse: FuseConnection,
  place: { readonly slot: number; readonly length: number },
  mask: CapabilityMask,
): KernelCapabilities | undefined {
  const { view, reply } = fuse;
  if (!view.select(place.slot, place.length) || view.opcode !== OPCODE.INIT) {
    fuse.garbled(place.length);
    return undefined;
  }
  const request = fuse.begin();
  const major = view.u32(0);
  reply.zero(0, INIT_OUT_BYTES);
  reply.u32(0, MAJOR);
  if (major > MAJOR) {
    fuse.finish(request, undefined, () => INIT_OUT_BYTES);
    return undefined;
  }
  const offer = { minor: view.u32(4), flags: view.u32(12), flags2: initFlags2(fuse, place.length) };
  const capabilities = negotiate(offer, mask, fuse.fs.locks === undefined ? LOCKING : []);
  const words = flagWords(capabilities.taken);
  reply.u32(4, capabilities.minor);
  reply.u32(8, MAX_READAHEAD_BYTES);
  reply.u32(12, words.flags);
  reply.u32(16, (CONGESTION_THRESHOLD << 16) | MAX_BACKGROUND);
  reply.u32(20, MAX_WRITE_BYTES);
  reply.u32(24, TIME_GRANULARITY_NS);
  reply.u32(28, MAX_PAGES);
  reply.u32(32, words.flags2);
  fuse.finish(request, undefined, () => INIT_OUT_BYTES);
  return capabilities;
}

/** Kernels before 5.17 send a shorter INIT without the second flag word. */
function initFlags2(fuse: FuseConnection, length: number): number {
  return length >= 40 + 20 ? fuse.view.u32(16) : 0;
}
