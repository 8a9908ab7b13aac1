/**
 * A session over a FIFO opened for both directions: what a test writes into it arrives as a
 * request, without a mount. Replies would come back as requests, so nothing here sends any.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FuseSession, native } from '../../native/index.ts';

export const SLOT_BYTES = 8192;

export interface FifoSessionOptions {
  readonly slotCount?: number;
  onRequest(slot: number, length: number): void;
  onEnd?(errno: number): void;
}

export class FifoSession {
  readonly session: FuseSession;
  readonly #writer: number;

  constructor(options: FifoSessionOptions) {
    const dir = mkdtempSync(join(tmpdir(), 'dfs-fifo-'));
    const path = join(dir, 'fifo');
    execFileSync('mkfifo', [path]);
    this.#writer = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    // Both ends are open: nothing is left behind, however this process ends.
    rmSync(dir, { recursive: true });
    this.session = new native.FuseSession({
      fd,
      slotCount: options.slotCount ?? 2,
      slotBytes: SLOT_BYTES,
      replyBytes: 4096,
      onRequest: options.onRequest,
      onEnd: options.onEnd ?? (() => undefined),
    });
    this.session.start();
  }

  /** One request of at most SLOT_BYTES; a FIFO joins writes that nobody has read yet. */
  feed(bytes: number): void {
    writeSync(this.#writer, Buffer.alloc(bytes, 7));
  }

  dispose(): void {
    this.session.close();
    closeSync(this.#writer);
  }
}
