/**
 * A process that serves a mount: the real SessionClient, MountLeases and MountLocks, and of the vfs
 * what is about locks.
 */
import { SessionKind } from '../../../gen/meta.ts';
import type { Lock, LockPlace } from '../../../src/common/core/locks.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asClusterId, asSessionId, type Ino, type SessionId } from '../../../src/common/ids.ts';
import { delay } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { SessionClient } from '../../../src/common/rpc/session-client.ts';
import type { RequestContext } from '../../../src/mount/driver/driver.ts';
import type { MetaClient } from '../../../src/mount/meta-client.ts';
import type { MountLeases, MountLeasesOptions } from '../../../src/mount/mount-leases.ts';
import { Connection, SERVER } from './connection.ts';
import { DIALS } from './line.ts';
import type { Journal, Machine } from './machine.ts';
import { SimProcess } from './process.ts';
import type { World } from './world.ts';

const LEASE_MS = 10_000;
const KEEPALIVE_MS = 4_000;
const AWAY_MS = 8_000;
const CLUSTER = asClusterId('cc'.repeat(16));

/** What the vfs knows of a file that is open. */
interface OpenFile {
  opens: number;
  locksLost: boolean;
}

export class SimMount {
  readonly machine: Machine;
  readonly instance: number;
  readonly process: SimProcess;
  readonly leasing: MountLeases;
  /** Programs may use it. */
  isServed = false;
  readonly #world: World;
  readonly #waitMs: number;
  readonly #files = new Map<Ino, OpenFile>();
  readonly #member: MountLeasesOptions['member'];
  #session: SessionClient | undefined;
  #meta: MetaClient | undefined;
  #heard: { readonly sid: number; readonly sentMs: number } | undefined;
  #answeredMs = 0;
  #isAway = false;

  constructor(world: World, machine: Machine, instance: number) {
    this.#world = world;
    this.machine = machine;
    this.instance = instance;
    this.#waitMs = world.waitMs;
    const rate = 0.97 + 0.06 * world.random.next();
    this.process = new SimProcess(world.queue, rate, () => world.entered());
    DIALS.set(this.process, (options) => new Connection(world, this, options));
    this.#answeredMs = this.process.bootMs();
    this.#member = {
      leaseEndMs: ({ sid, welcomedMs }) => {
        const heardMs = this.#heard?.sid === sid ? this.#heard.sentMs : 0;
        return Math.max(welcomedMs, heardMs) + LEASE_MS;
      },
      onEnded: () => undefined,
      onHeard: () => undefined,
    };
    this.leasing = new world.parts.mountLeases({
      member: this.#member,
      journal: machine.journal as unknown as MountLeasesOptions['journal'],
      log: silentLogger,
      waitMs: this.#waitMs,
      bootMs: () => this.process.bootMs(),
    });
  }

  get sid(): SessionId {
    return asSessionId(this.#session?.sid ?? 0);
  }

  /** Its leases have not run out. */
  get isValid(): boolean {
    if (this.#session === undefined) return false;
    return this.process.bootMs() < this.#member.leaseEndMs(this.#session);
  }

  get isUp(): boolean {
    return this.isServed && this.#session?.up === true && this.isValid;
  }

  start(): void {
    this.process.run(() => {
      this.#serve().catch((error: unknown) => {
        if (!(error instanceof FsError)) this.#world.bug(error);
        else if (!this.process.isDead) this.#world.restart(this.machine);
      });
    });
  }

  async #serve(): Promise<void> {
    const { leasing, machine } = this;
    const session = await this.#world.parts.sessionClient.open({
      ...{ address: '', clusterId: CLUSTER, nodeId: machine.nodeId, nodeName: '' },
      ...{ kind: SessionKind.MOUNT, instance: this.instance, waitMs: this.#waitMs },
      bootMs: () => this.process.bootMs(),
      log: silentLogger,
      follows: leasing.asks(this.instance),
      onWelcome: (welcome) => leasing.onWelcome(welcome),
      onPush: (frame) => leasing.onPush(frame),
    });
    this.#session = session;
    this.#keepAlive(session);
    this.#meta = leasing.begin(session);
    leasing.locks.onLost = (ino) => this.#onLost(ino);
    const { journal } = machine;
    leasing.vfs = {
      adopt: async () => undefined,
      evicted: () => this.#world.tally.count('learns of its eviction'),
      tellOpen: () => [],
      publishAll: async () => {
        await this.#publish();
        journal.published();
        return 0;
      },
      publishNow: async () => {
        await this.#publish();
        return 0;
      },
    };
    await leasing.adopt();
    this.isServed = true;
  }

  #publish(): Promise<void> {
    const { random } = this.#world;
    return delay(random.chance(0.1) ? 4_000 * random.next() : 10 * random.next());
  }

  #keepAlive(session: SessionClient): void {
    const { network, server } = this.#world;
    const { process } = this;
    const turn = (): void => {
      const sentMs = process.bootMs();
      const { sepoch, sid } = session;
      if (!this.#isAway && sentMs - this.#answeredMs > AWAY_MS) {
        this.#isAway = true;
        this.#world.tally.count('K1 stream started anew');
        session.restart('no keepalive is answered');
      }
      if (!session.up) return;
      network.send(this.machine.id, SERVER, () => {
        const answer = server.keepAlive({ sid: asSessionId(sid), sepoch: sepoch as never });
        if (answer === undefined) return;
        network.send(SERVER, this.machine.id, () =>
          process.run(() => {
            this.#answeredMs = process.bootMs();
            this.#isAway = false;
            if (answer.ended.length === 0) {
              this.#heard = { sid, sentMs };
              this.#member.onHeard();
            } else this.#member.onEnded([sid]);
          }),
        );
      });
    };
    process.setTimer(turn, KEEPALIVE_MS, true);
  }

  // The vfs.

  #file(ino: Ino): OpenFile {
    const known = this.#files.get(ino);
    if (known !== undefined) return known;
    const file = { opens: 0, locksLost: false };
    this.#files.set(ino, file);
    return file;
  }

  #onLost(ino: Ino): void {
    const file = this.#file(ino);
    this.#world.tally.count('L5 locks lost');
    this.#world.log(() => `mount ${this.machine.id} loses locks on ${ino}`);
    if (file.opens > 0) file.locksLost = true;
    this.#world.truth.lost(this.machine.id, ino);
  }

  isLost(ino: Ino): boolean {
    return this.#file(ino).locksLost;
  }

  #requireLocks(ino: Ino): void {
    if (this.isLost(ino)) throw new FsError('EIO', `locks on ino ${ino} were lost`);
  }

  open(ino: Ino): void {
    this.#file(ino).opens += 1;
  }

  async setlk(context: RequestContext, lock: Lock, waits: boolean): Promise<void> {
    this.#requireLocks(lock.ino);
    await this.leasing.locks.lock(context, lock, waits);
  }

  getlk(context: RequestContext, lock: Lock): Promise<Lock | undefined> {
    return this.leasing.locks.test(context, lock);
  }

  unlock(place: LockPlace): Promise<void> {
    return this.leasing.locks.unlock(place);
  }

  /** Reads or writes, under a lease. */
  async touch(ino: Ino): Promise<void> {
    this.#requireLocks(ino);
    if (this.isValid) return;
    const value = { ino: BigInt(ino), exclusive: false };
    await this.#session?.request({ $case: 'lease', value });
    if (!this.isValid) throw new FsError('EIO', 'no lease');
    this.#requireLocks(ino);
  }

  async close(ino: Ino, owner: string, flockOwner: string): Promise<void> {
    const { locks } = this.leasing;
    if (locks.has(ino)) await locks.closed({ ino, kind: 'posix', owner });
    await locks.closed({ ino, kind: 'flock', owner: flockOwner });
    const file = this.#file(ino);
    file.opens -= 1;
    if (file.opens === 0) file.locksLost = false;
  }

  list(): ReturnType<MetaClient['listLocks']> {
    if (this.#meta === undefined) throw new Error('it is not served');
    return this.#meta.listLocks();
  }
}

export type { Journal };
