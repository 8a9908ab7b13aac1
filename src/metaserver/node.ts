/**
 * The metaserver as a process part: founding, starting on a state folder and a socket, stopping.
 * meta/ is built beside its place and renamed, so that it is there whole or not at all.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { native } from '../../native/index.ts';
import type { Clock } from '../common/clock.ts';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import { asEpoch, type ClusterId } from '../common/ids.ts';
import { DisposeStack } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { RpcServer } from '../common/rpc/server.ts';
import { type Founding, foundingWrites } from './cluster.ts';
import { reserveBytesFor } from './core/space.ts';
import { type EngineStatus, MetaEngine } from './engine.ts';
import { LevelKv } from './level-kv.ts';
import { type Allocate, Reserve } from './reserve.ts';
import { SessionService } from './session-service.ts';
import { diskSpace, SpaceGuard } from './space-guard.ts';

export interface ListenAddress {
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
}

export interface MetaserverOptions {
  readonly stateDir: string;
  readonly socketPath: string;
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called once: the process must stop, nothing can be committed any more. */
  onFatal(error: Error): void;
}

export interface FoundOptions extends Founding {
  readonly stateDir: string;
}

export interface MetaserverStatus extends EngineStatus {
  readonly streams: number;
  /** Where it listens beside the socket. */
  readonly addresses: readonly ListenAddress[];
}

const allocate: Allocate = (fd, length) => native.fallocate(fd, 0, 0, length);

function pathsIn(stateDir: string): { meta: string; building: string; reserve: string } {
  const at = (name: string): string => path.join(stateDir, name);
  return { meta: at('meta'), building: at('meta.new'), reserve: at('reserve') };
}

async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, 'r');
  await handle.sync();
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw toFsError(error, `cannot look at ${file}`);
  }
}

export class Metaserver implements AsyncDisposable {
  readonly #engine: MetaEngine;
  readonly #service: SessionService;
  readonly #resources: DisposeStack;
  readonly #addresses: ListenAddress[] = [];
  #closed: Promise<void> | undefined;

  private constructor(engine: MetaEngine, service: SessionService, resources: DisposeStack) {
    this.#engine = engine;
    this.#service = service;
    this.#resources = resources;
  }

  /** Makes the database of a new cluster, durably. @throws FsError EEXIST there is one, ENOSPC */
  static async found(options: FoundOptions): Promise<void> {
    const { stateDir } = options;
    const { meta, building, reserve } = pathsIn(stateDir);
    if (await exists(meta)) {
      throw new FsError('EEXIST', `${meta} exists already: nothing was founded`);
    }
    // What an interrupted founding left.
    await rm(building, { recursive: true, force: true });
    await rm(reserve, { force: true });
    try {
      await mkdir(building, { mode: 0o700 });
      {
        await using kv = await LevelKv.open({ directory: building, create: true });
        await kv.commit(foundingWrites(options), asEpoch(1));
      }
      const bytesWanted = reserveBytesFor(diskSpace(stateDir).freeBytes);
      await Reserve.create({ file: reserve, bytesWanted, allocate });
      await syncDirectory(building);
      await rename(building, meta);
      await syncDirectory(stateDir);
    } catch (error) {
      throw toFsError(error, `cannot found a metaserver in ${stateDir}`);
    }
  }

  /**
   * Serves an existing database; never makes one.
   * @throws FsError ENOENT missing, EBUSY in use, EINVAL another cluster's or newer, EIO damaged
   */
  static async start(options: MetaserverOptions): Promise<Metaserver> {
    const { stateDir, clock, log } = options;
    const { meta, reserve: file } = pathsIn(stateDir);
    await using stack = new DisposeStack();
    const kv = stack.use(await LevelKv.open({ directory: meta, create: false }));
    const measure = (): ReturnType<typeof diskSpace> => diskSpace(stateDir);
    const bytesWanted = reserveBytesFor(measure().totalBytes);
    const reserve = await Reserve.open({ file, bytesWanted, allocate });
    const space = stack.use(new SpaceGuard({ reserve, clock, log, measure }));
    let service: SessionService | undefined;
    const onFatal = once((error) => {
      log.error('the metaserver must stop', { error });
      service?.stop();
      options.onFatal(error);
    });
    const engine = await MetaEngine.open({ ...options, kv, space, onFatal });
    service = stack.use(new SessionService({ engine, log, onFatal }));
    stack.use(await RpcServer.bindUnix(options.socketPath, [service.served]));
    return new Metaserver(engine, service, stack.move());
  }

  /**
   * Lets nodes of other machines in, until the server stops.
   * @param port 0 lets the kernel choose
   * @returns the address with its real port
   * @throws FsError EBUSY the port is taken, EINVAL no address of this machine, EIO ending
   */
  async listen(host: string, port: number): Promise<ListenAddress> {
    const server = await RpcServer.bindTcp({ host, port }, [this.#service.served]);
    if (this.#closed !== undefined) {
      await server[Symbol.asyncDispose]();
      throw new FsError('EIO', 'the metaserver is ending');
    }
    this.#resources.use(server);
    const address = { host, port: server.port };
    this.#addresses.push(address);
    return address;
  }

  status(): MetaserverStatus {
    const addresses = [...this.#addresses];
    return { ...this.#engine.status(), streams: this.#service.streamCount, addresses };
  }

  /** What was accepted becomes durable and is answered, then streams and database are closed. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await using _resources = this.#resources;
    await this.#engine.stopChecks();
    await this.#engine.drain();
    this.#service.stop();
    // What came in between is durable before the database closes, though nobody is told.
    await this.#engine.drain();
  }
}

function once(act: (error: Error) => void): (error: Error) => void {
  let done = false;
  return (error) => {
    if (done) return;
    done = true;
    act(error);
  };
}
