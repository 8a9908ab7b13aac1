/** Where a listener is to be: at the wanted port, or at a free one when that is taken and may differ. */
import { type Address, formatAddress } from '../address.ts';
import { FsError } from '../errno.ts';
import type { Logger } from '../log.ts';

export interface ListenWish extends Address {
  /** The user named this port: another one will not do. */
  readonly exact: boolean;
}

/** Opens one more address; the port 0 stands for any. @throws FsError EBUSY it is taken */
export type Listen = (address: Address) => Promise<Address>;

function isTaken(error: unknown): boolean {
  return error instanceof FsError && error.code === 'EBUSY';
}

/**
 * @returns the address with its real port
 * @throws FsError EBUSY this very port was wanted and is taken · EINVAL no address of this machine
 */
export async function listenAsWished(
  { host, port, exact }: ListenWish,
  { listen, log }: { readonly listen: Listen; readonly log: Logger },
): Promise<Address> {
  const place = formatAddress({ host, port });
  try {
    return await listen({ host, port });
  } catch (error) {
    if (!isTaken(error)) throw error;
    if (exact) {
      const message = `cannot listen on ${place}: another program does; name another port, or :0 for any`;
      throw new FsError('EBUSY', message, { cause: error });
    }
  }
  const chosen = await listen({ host, port: 0 });
  log.warn('the port is taken, and a free one is used', {
    wanted: place,
    chosen: formatAddress(chosen),
  });
  return chosen;
}
