/**
 * One rule less each. A mutation stands in for a part of the protocol, or changes one line of a
 * copy of the compiled class: nothing of it is in what is shipped.
 */
import type { Ino, SessionId } from '../../../src/common/ids.ts';
import type { Grant, LeaseKind } from '../../../src/common/lease.ts';
import { Glimpses } from '../../../src/metaserver/core/glimpses.ts';
import { LeaseTable, type Release } from '../../../src/metaserver/core/leases.ts';
import { type Forgotten, KeptNames } from '../../../src/mount/core/kept-names.ts';
import { type HolderEffect, LeaseHolder } from '../../../src/mount/core/lease-holder.ts';
import { Fences } from '../../../src/peer/core/fences.ts';
import { type Change, compiled, copyOf } from '../copies.ts';
import { type Parts, REAL, RESERVE } from './parts.ts';

const TABLE = compiled('metaserver/core/leases.js');
const HOLDER = compiled('mount/core/lease-holder.js');

/** A copy of a compiled module with some lines changed. White space does not matter. */
function changed<T>(url: URL, changes: readonly Change[]): Promise<T> {
  return import(copyOf(url, changes)) as Promise<T>;
}

async function changedTable(...changes: Change[]): Promise<Parts> {
  const { LeaseTable: Changed } = await changed<{ LeaseTable: typeof LeaseTable }>(TABLE, changes);
  return { ...REAL, table: (options) => new Changed(options) };
}

async function changedHolder(...changes: Change[]): Promise<Parts> {
  type Module = { LeaseHolder: typeof LeaseHolder };
  const { LeaseHolder: Changed } = await changed<Module>(HOLDER, changes);
  return { ...REAL, holder: (mayWrite) => new Changed(mayWrite) };
}

/** Publishes when it is called, before the kernel has forgotten, and not after. */
class HastyHolder<T> extends LeaseHolder<T> {
  override takeEffects(): HolderEffect<T>[] {
    const effects: HolderEffect<T>[] = [];
    for (const effect of super.takeEffects()) {
      if (effect.do === 'flush') this.flushed(effect.ino);
      else effects.push(effect);
      if (effect.do === 'purge') effects.push({ do: 'flush', ino: effect.ino });
    }
    return effects.length === 0 ? super.takeEffects() : effects;
  }
}

/** Gives up what was written without publishing it. */
class CarelessHolder<T> extends LeaseHolder<T> {
  override takeEffects(): HolderEffect<T>[] {
    const effects = super.takeEffects();
    for (const effect of effects) if (effect.do === 'flush') this.flushed(effect.ino);
    const others = effects.filter((effect) => effect.do !== 'flush');
    return others.length < effects.length ? [...others, ...super.takeEffects()] : others;
  }
}

class DeafHolder<T> extends LeaseHolder<T> {
  override slow(): void {}
}

/** Lets nobody go on while the mount settles. */
class StubbornHolder<T> extends LeaseHolder<T> {
  override serveLost(): Ino[] {
    return [];
  }
}

/** Does not say who went on while the mount settles. */
class SecretiveHolder<T> extends LeaseHolder<T> {
  override serveLost(): Ino[] {
    super.serveLost();
    return [];
  }
}

/** Relies on leases of an earlier life of the metaserver in a later one. */
class NostalgicHolder<T> extends LeaseHolder<T> {
  override endLost(): void {}
}

class GenerousTable extends LeaseTable {
  override grant(sid: SessionId, ino: Ino, kind: LeaseKind): Grant | undefined {
    return super.grant(sid, ino, kind, true);
  }
}

/** Calls a lease back while the reply that grants it is still under way. */
class OvertakingTable extends LeaseTable {
  override grant(...given: Parameters<LeaseTable['grant']>): Grant | undefined {
    const grant = super.grant(...given);
    if (grant !== undefined) this.told(given[0], given[1], grant.lseq);
    return grant;
  }
}

class ForgetfulTable extends LeaseTable {
  override release(sid: SessionId, release: Release): void {
    super.release(sid, { ...release, open: false });
  }
}

class HeedlessNames extends KeptNames {
  override recalled(...given: Parameters<KeptNames['recalled']>): Forgotten {
    super.recalled(...given);
    return 'nothing';
  }
}

/** Does not see that a rename takes the validity along. */
class SettledNames extends KeptNames {
  override moved(): boolean {
    return false;
  }
}

/** Takes every directory for one that is called back. */
class TrustfulNames extends KeptNames {
  override moved(from: Ino, to: Ino, { newName }: { newName: string }): boolean {
    return super.moved(from, to, { held: true, newName });
  }
}

/** Waits for an answer for ever. */
class PatientGlimpses<Look> extends Glimpses<Look> {
  override overdue(): Look[] {
    return [];
  }
}

class OpenFences extends Fences {
  override isEvicted(): boolean {
    return false;
  }
}

class PatientFences extends Fences {
  override isLate(): boolean {
    return false;
  }
}

const NO_FLOOR = ['if (lseq <= this.#floor || lseq <= held.lseq || ', 'if ('] as const;

export interface Mutation {
  readonly name: string;
  parts(): Parts | Promise<Parts>;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a holder's own fetch and publication queue (C2)",
    parts: () => changedTable(['if (covers(own?.kind, kind))', 'if (false)']),
  },
  {
    name: 'a lease is released before the kernel has forgotten (C8)',
    parts: () => ({
      ...REAL,
      forget: (kernel, ino, what, done) => {
        done();
        kernel.world.queue.after(1, () => REAL.forget(kernel, ino, what, () => {}));
      },
    }),
  },
  {
    name: 'what was written is published before the kernel has forgotten (C8)',
    parts: () => ({ ...REAL, holder: (mayWrite) => new HastyHolder(mayWrite) }),
  },
  {
    name: 'a lease is released without publication (C8)',
    parts: () => ({ ...REAL, holder: (mayWrite) => new CarelessHolder(mayWrite) }),
  },
  {
    name: 'a release of an older grant counts (C5)',
    parts: () =>
      changedTable([
        'if (entry === undefined || holder?.lseq !== lseq) return;',
        'if (entry === undefined || holder === undefined) return;',
      ]),
  },
  {
    name: 'a file open for writing is held shared (C10)',
    parts: () => ({
      ...REAL,
      holder: () => new LeaseHolder(() => false),
    }),
  },
  {
    name: 'the server ends a lease before the client does (C12)',
    parts: () => ({ ...REAL, serverLeaseMs: 7_000 }),
  },
  {
    name: 'the kernel keeps everything when the leases end (C12)',
    parts: () => ({ ...REAL, purgesAtExpiry: false }),
  },
  {
    name: 'leases fall without a fence (C14)',
    parts: () => ({ ...REAL, fencesHomes: false }),
  },
  {
    name: 'a home lets evicted sessions in (C14)',
    parts: () => ({ ...REAL, fences: () => new OpenFences() }),
  },
  {
    name: 'a home takes late writes (C14)',
    parts: () => ({ ...REAL, fences: () => new PatientFences() }),
  },
  {
    name: 'a home lets the process before in (C16)',
    parts: () => ({ ...REAL, meets: () => {} }),
  },
  {
    name: 'a session that has settled loses leases of its new process too (C16)',
    parts: () =>
      changedTable(['this.#handedOver.get(sid) ?? 0', 'this.#handedOver.has(sid) ? Infinity : 0']),
  },
  {
    name: 'what the process before has written is forgotten (C16)',
    parts: () => ({ ...REAL, adopts: () => {} }),
  },
  {
    name: 'the journal does not know the lease (C16)',
    parts: () => ({
      ...REAL,
      adopts: (mount, before) => mount.publisher.adopt(before.publisher, () => 0),
    }),
  },
  {
    name: 'the journal is read after recalls are heard (C16)',
    parts: () => ({
      ...REAL,
      adopts: (mount, before) => {
        mount.world.queue.after(50, () => REAL.adopts(mount, before));
      },
    }),
  },
  {
    name: 'a recall overtakes its grant, and late grants are taken (C4, C11)',
    parts: async () => ({
      ...(await changedHolder(NO_FLOOR)),
      table: (options) => new OvertakingTable(options),
    }),
  },
  { name: 'late grants are taken (C11)', parts: () => changedHolder(NO_FLOOR) },
  {
    name: 'openers are forgotten (C5)',
    parts: () => ({ ...REAL, table: (options) => new ForgetfulTable(options) }),
  },
  {
    name: 'parked requests are not served while the kernel forgets (C9)',
    parts: () => ({ ...REAL, holder: (mayWrite) => new DeafHolder(mayWrite) }),
  },
  {
    name: 'the kernel is not told once more (C9)',
    parts: () => changedHolder(['if (held.closing.served > 0)', 'if (false)']),
  },
  {
    name: 'leases are granted while others wait to change the file (C3)',
    parts: () => ({ ...REAL, table: (options) => new GenerousTable(options) }),
  },
  {
    name: 'running requests are not waited for (C7)',
    parts: () => changedHolder(['if (held.users > 0 || held.closing', 'if (held.closing']),
  },
  {
    name: 'nobody is unsure after a restart (C13)',
    parts: () => ({ ...REAL, table: (options) => new LeaseTable({ ...options, unsure: [] }) }),
  },
  {
    name: 'parked requests are not served while a mount settles (C13)',
    parts: () => ({ ...REAL, holder: (mayWrite) => new StubbornHolder(mayWrite) }),
  },
  {
    name: 'the kernel is not told once more while a mount settles (C13)',
    parts: () => ({ ...REAL, holder: (mayWrite) => new SecretiveHolder(mayWrite) }),
  },
  {
    name: 'what ran out counts after a mount has settled (C13)',
    parts: () => ({ ...REAL, holder: (mayWrite) => new NostalgicHolder(mayWrite) }),
  },
  {
    name: 'a recall waits for what an evicted session has left (C15)',
    parts: () => ({ ...REAL, waitsForLeft: true }),
  },
  {
    name: 'the kernel keeps the attributes of what is written to (C17)',
    parts: () => ({ ...REAL, unsettle: () => {} }),
  },
  {
    name: 'pages that were written past are kept (C18)',
    parts: () => ({ ...REAL, writtenPast: () => false }),
  },
  {
    name: 'a look shows what is committed, whoever writes (C19)',
    parts: () => ({ ...REAL, look: (outcome) => outcome }),
  },
  {
    name: 'a glimpse is waited for without end (C19)',
    parts: () => ({ ...REAL, glimpses: () => new PatientGlimpses() }),
  },
  {
    name: 'names outlive the lease of their directory (C8)',
    parts: () => ({ ...REAL, keptNames: () => new HeedlessNames(RESERVE) }),
  },
  {
    name: 'a name that moves is not noted (C20)',
    parts: () => ({ ...REAL, keptNames: () => new SettledNames(RESERVE) }),
  },
  {
    name: 'a name moves where no lease is held (C20)',
    parts: () => ({ ...REAL, keptNames: () => new TrustfulNames(RESERVE) }),
  },
  {
    name: 'a recall does not wait until the names of others are forgotten (C20)',
    parts: () => ({ ...REAL, waitsForEpochs: false }),
  },
  {
    name: 'what is told while the kernel forgets is taken for forgotten (C20)',
    parts: () => ({ ...REAL, tellsDuringEpochs: false }),
  },
  {
    name: 'the mount itself remembers names too long (C8)',
    parts: () => ({ ...REAL, forgetNames: () => {} }),
  },
];
