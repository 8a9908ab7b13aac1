/** Which addresses other machines may reach this one at, the likeliest first. */
import { isIP } from 'node:net';

/** The shape of os.networkInterfaces(). */
export type Interfaces = Readonly<
  Record<string, readonly { readonly address: string; readonly internal: boolean }[] | undefined>
>;

/** Bridges and tunnels of containers and virtual machines: seldom what another machine sees. */
const VIRTUAL = /^(?:docker|br-|veth|virbr|cni|flannel|cali|lxc|lxdbr|podman)/;
/** Valid on one link only, and useless without naming it. */
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/i;

/** IPv4 before IPv6, real interfaces before virtual ones; loopback and link-local ones never. */
export function machineAddresses(interfaces: Interfaces): string[] {
  const found = Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ address, internal }) => !internal && !LINK_LOCAL.test(address))
      .map(({ address }) => ({
        address,
        rank: (VIRTUAL.test(name) ? 2 : 0) + (isIP(address) === 6 ? 1 : 0),
      })),
  );
  return found.sort((a, b) => a.rank - b.rank).map(({ address }) => address);
}
