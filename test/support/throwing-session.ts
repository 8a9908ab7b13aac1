/** Three requests; the first two make onRequest throw. */
import { FifoSession, SLOT_BYTES } from './fifo-session.ts';

let seen = 0;
process.on('uncaughtException', (error) => process.stdout.write(`caught ${error.message}\n`));
const fifo = new FifoSession({
  onRequest: () => {
    seen += 1;
    process.stdout.write(`${seen}\n`);
    if (seen < 3) throw new Error('boom');
    fifo.dispose();
  },
});
fifo.feed(3 * SLOT_BYTES);
