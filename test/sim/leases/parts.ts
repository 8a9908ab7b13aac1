/** The code under test, and what a mutation may put in its place. */
import type { Ino } from '../../../src/common/ids.ts';
import { Glimpses } from '../../../src/metaserver/core/glimpses.ts';
import { LeaseTable } from '../../../src/metaserver/core/leases.ts';
import { KeptNames, type Reserve } from '../../../src/mount/core/kept-names.ts';
import { LeaseHolder } from '../../../src/mount/core/lease-holder.ts';
import type { KernelCopy } from '../../../src/mount/vfs/kernel-copy.ts';
import { Fences } from '../../../src/peer/core/fences.ts';
import type { Kernel } from './kernel.ts';
import { type DataCall, isDirectory } from './messages.ts';
import type { Mount } from './mount.ts';
import type { Outcome } from './operations.ts';
import { SERVER_LEASE_MS } from './sessions.ts';

export interface Parts {
  table(options: ConstructorParameters<typeof LeaseTable>[0]): LeaseTable;
  holder<T>(mayWrite: (ino: Ino) => boolean): LeaseHolder<T>;
  fences(): Fences;
  glimpses<Look>(): Glimpses<Look>;
  /** What a look at a file shows, whose writer has told that it is this large. */
  look(outcome: Outcome, size: number): Outcome;
  /** A home hears of a session's epoch. */
  meets(fences: Fences, call: DataCall): void;
  /** A process takes over what the one before it has written. */
  adopts(mount: Mount, before: Mount): void;
  readonly serverLeaseMs: number;
  /** An evicted session is fenced before its leases fall. */
  readonly fencesHomes: boolean;
  /** What an evicted session has left is published before any lease is given up. */
  readonly waitsForLeft: boolean;
  /** The kernel forgets when the leases end. */
  readonly purgesAtExpiry: boolean;
  /** The kernel forgets what a lease was for. */
  forget(kernel: Kernel, ino: Ino, what: 'attributes' | 'all', done: () => void): void;
  /** A clean file is written to: the kernel forgets what it was told of it. */
  unsettle(kernel: Kernel, ino: Ino): void;
  /** Something was written past the pages of the kernel. @returns whether some may be old */
  writtenPast(copy: KernelCopy): boolean;
  /** In which directories the kernel may keep names. */
  keptNames(): KeptNames;
  /** Who has no names to take back waits until those of others are. */
  readonly waitsForEpochs: boolean;
  /** What is told while the kernel forgets every name is not taken for forgotten. */
  readonly tellsDuringEpochs: boolean;
  /** The mount forgets the names of a directory. */
  forgetNames(mount: Mount, dir: Ino): void;
}

/** Shorter, so that names are kept in the short time that is simulated. */
export const RESERVE: Reserve = { shyMs: 2, shyMsMax: 50, busyMs: 400, oftenMs: 3_000 };

export const REAL: Parts = {
  table: (options) => new LeaseTable(options),
  holder: (mayWrite) => new LeaseHolder(mayWrite),
  fences: () => new Fences(),
  glimpses: () => new Glimpses(),
  look: (outcome, size) => {
    const { attr } = outcome;
    if (attr === undefined) return outcome;
    return { ...outcome, attr: { ...attr, size: Math.max(attr.size, size) } };
  },
  meets: (fences, call) => fences.meet(call),
  adopts: (mount, before) => {
    // The youngest: a read may have gone under one that came after the write.
    mount.publisher.adopt(before.publisher, (ino, written) => {
      return Math.max(written, before.holder.lseqOf(ino));
    });
  },
  serverLeaseMs: SERVER_LEASE_MS,
  fencesHomes: true,
  waitsForLeft: false,
  purgesAtExpiry: true,
  forget: (kernel, ino, what, done) => {
    kernel.forgetAttr(ino);
    if (what === 'attributes' || isDirectory(ino)) done();
    else kernel.forgetData(ino, done);
  },
  unsettle: (kernel, ino) => kernel.forgetAttr(ino),
  writtenPast: (copy) => copy.writtenPast(),
  keptNames: () => new KeptNames(RESERVE),
  waitsForEpochs: true,
  tellsDuringEpochs: true,
  forgetNames: (mount, dir) => {
    mount.names.delete(dir);
  },
};
