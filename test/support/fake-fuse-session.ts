import type { FuseSession } from '../../native/index.ts';

/** A session without a kernel: requests are put into slots, replies are kept. */
export class FakeFuseSession implements FuseSession {
  readonly slots: ArrayBuffer;
  readonly reply: ArrayBuffer;
  readonly sent: Buffer[] = [];
  readonly kept = new Set<number>();
  closed = false;
  /** What send() answers. */
  errno = 0;

  constructor(options: { slotCount: number; slotBytes: number; replyBytes: number }) {
    this.slots = new ArrayBuffer(options.slotCount * options.slotBytes);
    this.reply = new ArrayBuffer(options.replyBytes);
  }

  start(): void {}

  send(length: number): number {
    this.sent.push(Buffer.from(this.reply.slice(0, length)));
    return this.errno;
  }

  sendPayload(payload: Uint8Array): number {
    this.sent.push(Buffer.concat([Buffer.from(this.reply.slice(0, 16)), payload]));
    return this.errno;
  }

  keepSlot(slot: number): void {
    this.kept.add(slot);
  }

  releaseSlot(slot: number): void {
    this.kept.delete(slot);
  }

  close(): void {
    this.closed = true;
  }
}
