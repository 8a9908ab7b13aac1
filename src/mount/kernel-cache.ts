/** What the kernel keeps of a mount, and how it is made to forget. A driver implements it. */
import type { Ino } from '../common/ids.ts';
import type { ToldName } from './core/kept-names.ts';

/** Where a name has gone. */
export interface MovedName {
  readonly newName: string;
  /** There is a lease on its directory, which can be called back. */
  readonly held: boolean;
}

export interface KernelCache {
  /**
   * The kernel is told a name in `dir`, which it may keep for `validMs` as far as leases go.
   * @returns how long it may: shorter where names cannot be taken back at once
   */
  nameMs(dir: Ino, told: ToldName, validMs: number): number;
  /**
   * A name goes from one directory to the other, and the kernel may keep it there as long as where it
   * was. undefined: that is right. Resolves when it has forgotten.
   */
  moved(from: Ino, to: Ino, at: MovedName): Promise<void> | undefined;
  /**
   * The kernel is told something of this inode, or of names in it, under a lease that goes on for
   * `restMs`. @returns how long it may keep it, milliseconds
   */
  keepMs(ino: Ino, restMs: number): number;
  /** The kernel is given data of this inode, or a listing. */
  note(ino: Ino): void;
  /** The kernel dropped the inode by itself. */
  dropped(ino: Ino): void;
  /**
   * Attributes and data; of a directory the listing, and every name. Resolves when it has
   * forgotten; undefined: there was nothing to forget.
   */
  forget(ino: Ino, directory: boolean): Promise<void> | undefined;
  /**
   * Attributes only, also those that are on their way. Resolves when it has; undefined: there was
   * nothing to forget.
   */
  forgetAttributes(ino: Ino): Promise<void> | undefined;
  /** Data of a part of the file; as forget. */
  forgetRange(ino: Ino, offset: number, length: number): Promise<void> | undefined;
  /**
   * The file is at least so long. Resolves when the kernel has that size, to false when it does
   * not know the file; undefined: there is no kernel.
   */
  grow(ino: Ino, size: number): Promise<boolean> | undefined;
  /** Every name of the mount. Resolves when it has forgotten. */
  forgetNames(): Promise<void>;
  /** All it was told. Resolves when it has forgotten. */
  forgetEverything(): Promise<void>;
}
