/** A worker thread that serves a busy FIFO session and is ended from outside or by itself. */
import { parentPort, workerData } from 'node:worker_threads';
import { FifoSession, SLOT_BYTES } from './fifo-session.ts';

let seen = 0;
const fifo = new FifoSession({
  onRequest: () => {
    seen += 1;
    fifo.feed(SLOT_BYTES);
    if (seen === 100) parentPort?.postMessage('busy');
    if (seen === 200 && workerData === 'exit') process.exit(0);
    if (seen === 200 && workerData === 'throw') throw new Error('from onRequest');
  },
});
fifo.feed(SLOT_BYTES);
