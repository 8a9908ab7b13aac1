/** Which port a listener gets: the wanted one, or a free one when that is taken and may differ. */
import { createServer } from 'node:net';
import { type Address, formatAddress } from '../common/address.ts';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import { deferred } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { ListenWish } from './listen-plan.ts';

/** Listens for an instant. @returns the port · @throws the system's error */
async function tryPort({ host, port }: Address): Promise<number> {
  // Nodes that come back to this port would keep it from closing.
  const server = createServer((socket) => socket.destroy());
  const listening = deferred<void>();
  server.once('error', listening.reject);
  server.listen({ host, port }, () => listening.resolve(undefined));
  await listening.promise;
  const address = server.address();
  const closed = deferred<void>();
  server.close(() => closed.resolve(undefined));
  await closed.promise;
  return typeof address === 'object' && address !== null ? address.port : port;
}

function refusal(error: unknown, wanted: Address): FsError {
  const place = formatAddress(wanted);
  const code = systemCode(error);
  const options = { cause: error };
  if (code === 'EADDRINUSE') {
    const message = `cannot listen on ${place}: another program does; name another port, or :0 for any`;
    return new FsError('EBUSY', message, options);
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const message = `cannot listen on ${place}: ${wanted.host} is no address of this machine`;
    return new FsError('EINVAL', message, options);
  }
  return toFsError(error, `cannot listen on ${place}`);
}

/**
 * @returns the address to listen on; its port was free a moment ago
 * @throws FsError EBUSY this very port was wanted and is taken · EINVAL no address of this machine
 */
export async function choosePort(wanted: ListenWish, log: Logger): Promise<Address> {
  const { host, exact } = wanted;
  try {
    return { host, port: await tryPort(wanted) };
  } catch (error) {
    if (exact || systemCode(error) !== 'EADDRINUSE') throw refusal(error, wanted);
  }
  try {
    const chosen = { host, port: await tryPort({ host, port: 0 }) };
    log.warn('the port is taken, and a free one is used', {
      wanted: formatAddress(wanted),
      chosen: formatAddress(chosen),
    });
    return chosen;
  } catch (error) {
    throw refusal(error, wanted);
  }
}
