/** A kernel that may keep whatever it is told, and forgets at once. */
import type { Ino } from '../../src/common/ids.ts';
import type { KernelCache } from '../../src/mount/kernel-cache.ts';

export class FakeKernelCache implements KernelCache {
  /** What it was made to forget, in order. */
  readonly forgotten: Ino[] = [];
  /** Whose attributes alone it was made to forget. */
  readonly unsettled: Ino[] = [];
  /** Parts of files it was made to forget. */
  readonly ranges: (readonly [offset: number, length: number])[] = [];
  /** Sizes it was told by themselves. */
  readonly grown: number[] = [];

  nameMs(_dir: Ino, _told: unknown, validMs: number): number {
    return validMs;
  }

  moved(): undefined {
    // Nothing is kept.
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

  forgetAttributes(ino: Ino): Promise<void> {
    this.unsettled.push(ino);
    return Promise.resolve();
  }

  forgetRange(_ino: Ino, ...range: readonly [offset: number, length: number]): Promise<void> {
    this.ranges.push(range);
    return Promise.resolve();
  }

  grow(_ino: Ino, size: number): Promise<boolean> {
    this.grown.push(size);
    return Promise.resolve(true);
  }

  forgetNames(): Promise<void> {
    return Promise.resolve();
  }

  forgetEverything(): Promise<void> {
    return Promise.resolve();
  }
}
