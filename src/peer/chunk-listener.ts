/** Where other peers reach this one's chunk service: one address, which may change while it runs. */
import type { Address } from '../common/address.ts';
import { RpcServer, type ServedService } from '../common/rpc/server.ts';

export class ChunkListener implements AsyncDisposable {
  readonly #services: readonly ServedService[];
  #open: { readonly server: RpcServer; readonly address: Address } | undefined;

  constructor(services: readonly ServedService[]) {
    this.#services = services;
  }

  get address(): Address | undefined {
    return this.#open?.address;
  }

  /**
   * Leaves the present address for another one, or goes back to it when that cannot be had.
   * @throws FsError EBUSY the port is taken, EINVAL not an address of this machine
   */
  async listen(wanted: Address): Promise<Address> {
    const before = this.#open?.address;
    await this.#close();
    try {
      return await this.#bind(wanted);
    } catch (error) {
      if (before !== undefined) await this.#bind(before);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  async #bind(wanted: Address): Promise<Address> {
    const server = await RpcServer.bindTcp(wanted, this.#services);
    const address = { host: wanted.host, port: server.port };
    this.#open = { server, address };
    return address;
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.server[Symbol.asyncDispose]();
  }
}
