/** The leases and locks of a mount whose session is a stand-in, wired as a mount does it. */
import type { Clock } from '../../src/common/clock.ts';
import { asIno } from '../../src/common/ids.ts';
import { silentLogger } from '../../src/common/log.ts';
import type { Session } from '../../src/metaserver/session.ts';
import type { KernelCache } from '../../src/mount/kernel-cache.ts';
import { Leases } from '../../src/mount/leases.ts';
import { MountLocks } from '../../src/mount/locks.ts';
import { MetaCache } from '../../src/mount/meta-cache.ts';
import { MetaClient } from '../../src/mount/meta-client.ts';

const WAIT_MS = 60_000;

export interface LeasedMetaOptions {
  /** What the client asks through. */
  readonly session: ConstructorParameters<typeof MetaClient>[0];
  /** The same session at the metaserver: its recalls come back here. */
  readonly served: Session;
  readonly kernel: KernelCache;
  readonly clock: Clock;
  /** Its process has died: it hears nothing any more. */
  isDead?(): boolean;
}

/** Leases that never run out by time. */
export function leasedMeta(options: LeasedMetaOptions): {
  leases: Leases;
  locks: MountLocks;
  meta: MetaClient;
} {
  const { clock, kernel, served, session } = options;
  const leases = new Leases({
    kernel,
    log: silentLogger,
    waitMs: WAIT_MS,
    bootMs: () => clock.bootMs(),
    endMs: () => Number.MAX_SAFE_INTEGER,
    ask: (ino, kind) => meta.lease(ino, kind),
    release: (releases) => meta.release(releases),
    glimpsed: (glimpse, told) => meta.glimpsed(glimpse, told),
  });
  const meta: MetaClient = new MetaClient(session, new MetaCache((ino) => leases.holds(ino)));
  const locks = new MountLocks({ service: () => meta, isValid: () => true, log: silentLogger });
  meta.onGrant = (ino, grant) => leases.granted(ino, grant);
  served.sink = {
    push: (body) => {
      if (options.isDead?.() === true) return;
      if (body.$case === 'recall') leases.recalled(body.value);
      if (body.$case === 'glimpse') leases.glimpsed(body.value);
      if (body.$case === 'lockRecall') locks.recalled(asIno(body.value.ino));
      if (body.$case === 'lockGranted') locks.granted(body.value.ticket);
    },
    close: () => undefined,
  };
  return { leases, locks, meta };
}
