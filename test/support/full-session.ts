/** A session with every slot kept: nothing but it keeps this process alive for a while. */
import { FifoSession, SLOT_BYTES } from './fifo-session.ts';

const fifo = new FifoSession({
  slotCount: 1,
  onRequest: (slot) => {
    fifo.session.keepSlot(slot);
    process.stdout.write('kept\n');
    setTimeout(() => process.stdout.write('still here\n'), 200).unref();
    setTimeout(() => {
      fifo.session.releaseSlot(slot);
      process.stdout.write('released\n');
      fifo.dispose();
      process.stdout.write('closed\n');
    }, 400).unref();
  },
});
fifo.feed(SLOT_BYTES);
