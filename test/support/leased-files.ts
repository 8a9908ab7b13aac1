import type { LeasedFiles } from '../../src/mount/leases.ts';

/** Files that are open and have nothing to publish, but for what is told otherwise. */
export function leasedFiles(others: Partial<LeasedFiles> = {}): LeasedFiles {
  return {
    isOpen: () => true,
    mayWrite: () => true,
    isDirectory: () => false,
    publish: () => Promise.resolve(),
    dropping: () => undefined,
    forget: () => undefined,
    toldOpen: () => undefined,
    unpublished: () => undefined,
    ...others,
  };
}
