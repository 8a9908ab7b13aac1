/**
 * Whether the optional fuse-native package works on this machine. Only loading it tells: it may
 * be installed without its binary, and its binary needs a libfuse 2 that many systems lack.
 */
export type FuseNativeLoad =
  | { readonly loads: true }
  /** `reason` is a sentence that says what to do. */
  | { readonly loads: false; readonly reason: string };

/** A variable, because the package is optional: the compiler must not resolve it. */
const PACKAGE: string = 'fuse-native';

function explain(error: unknown): string {
  const message = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
  if (message.includes('libfuse.so.2')) {
    return 'fuse-native needs libfuse 2 (libfuse.so.2): install the package libfuse2';
  }
  if (message.includes(`Cannot find package '${PACKAGE}'`)) {
    return 'the optional package fuse-native is not installed';
  }
  return `fuse-native cannot be loaded: ${message}`;
}

export async function loadFuseNative(): Promise<FuseNativeLoad> {
  try {
    await import(PACKAGE);
    return { loads: true };
  } catch (error) {
    return { loads: false, reason: explain(error) };
  }
}
