/** A worker thread whose notifier writes into a pipe: `idle` after one answer, `blocked` for ever. */
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '../../native/index.ts';

const { fd, how } = workerData as { readonly fd: number; readonly how: 'idle' | 'blocked' };
const notifier = new native.FuseNotifier({ fd });
if (how === 'idle') parentPort?.postMessage(await notifier.incEpoch());
else {
  notifier.invalInode(1, 0, 0).then(
    (errno) => parentPort?.postMessage(errno),
    () => undefined,
  );
  parentPort?.postMessage('blocked');
}
