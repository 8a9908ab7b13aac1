/** A kernel that may keep whatever it is told, and forgets at once. */
import type { Ino } from '../../src/common/ids.ts';
import type { KernelCache } from '../../src/mount/kernel-cache.ts';

export class FakeKernelCache implements KernelCache {
  /** What it was made to forget, in order. */
  readonly forgotten: Ino[] = [];

  nameMs(_dir: Ino, validMs: number): number {
    return validMs;
  }

  keepMs(_ino: Ino, restMs: number): number {
    return restMs;
  }

  note(): void {
    // Nothing is kept.
  }

  dropped(): void {
    // Nothing is kept.
  }

  forget(ino: Ino): Promise<void> {
    this.forgotten.push(ino);
    return Promise.resolve();
  }

  forgetEverything(): void {
    // Nothing is kept.
  }
}
