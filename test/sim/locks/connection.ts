/** A stream between a mount and the metaserver, with an end on each side. */
import type { ClientFrame, ServerFrame } from '../../../gen/meta.ts';
import type { SessionSink } from '../../../src/metaserver/session.ts';
import { Stream } from '../leases/network.ts';
import type { ClientEnd, LineOptions } from './line.ts';
import type { SimMount } from './mount.ts';
import type { World } from './world.ts';

export const SERVER = 0;
/** Each side notices the end of a stream within this. */
const NOTICE_MS = 20;

type Body = NonNullable<ServerFrame['body']>;

export class Connection implements ClientEnd, SessionSink {
  readonly mount: SimMount;
  readonly #world: World;
  readonly #options: LineOptions;
  readonly #stream: Stream;
  /** The mount hears nothing of it any more. */
  #isOver = false;
  /** The metaserver has it still. */
  #isServed = true;
  isConnected = false;
  /** Has arrived, and is not read yet. */
  readonly #inbox: Body[] = [];

  constructor(world: World, mount: SimMount, options: LineOptions) {
    this.#world = world;
    this.mount = mount;
    this.#options = options;
    this.#stream = new Stream(world.network, mount.machine.id, SERVER);
    if (world.network.isBlocked(mount.machine.id, SERVER)) return;
    if (!world.server.isUp) {
      this.#endSoon('connection refused');
      return;
    }
    this.isConnected = true;
    world.server.connections.add(this);
  }

  /** Nothing comes through any more. */
  break(): void {
    this.#stream.isOpen = false;
    this.#endSoon('connection reset');
    this.#world.queue.after(NOTICE_MS * this.#world.random.next(), () => this.#finish());
  }

  // The mount's end.

  write(frame: unknown): void {
    const { body } = frame as ClientFrame;
    if (this.#isOver || body === undefined || !this.isConnected) return;
    if (body.$case === 'request') this.#world.tally.count(`sent ${body.value.op?.$case}`);
    this.#stream.up(() => {
      if (this.#isServed) this.#world.server.heard(this, body);
    });
  }

  hangUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.isOpen = false;
    this.#world.queue.after(NOTICE_MS * this.#world.random.next(), () => this.#finish());
  }

  #endSoon(reason: string): void {
    this.#world.queue.after(NOTICE_MS * this.#world.random.next(), () =>
      this.mount.process.run(() => this.#down(reason)),
    );
  }

  #down(reason: string): void {
    if (this.#isOver) return;
    this.hangUp();
    this.#options.onDown(reason);
  }

  // The metaserver's end.

  push(body: Body): void {
    if (!this.#isServed) return;
    this.#world.told(this.mount, body);
    const isRead = this.#world.random.chance(0.5);
    this.#stream.down(() => {
      this.#inbox.push(body);
      if (isRead) this.mount.process.run(() => this.#read());
      else this.#world.queue.after(0, () => this.mount.process.run(() => this.#read()));
    });
  }

  /** What has arrived is read in one turn. */
  #read(): void {
    for (const body of this.#inbox.splice(0)) if (!this.#isOver) this.#options.onFrame({ body });
  }

  close(code: string, message: string): void {
    if (!this.#isServed) return;
    this.push({ $case: 'refusal', value: { code, message } });
    this.#stream.down(() =>
      this.mount.process.run(() => {
        this.#read();
        this.#down(message);
      }),
    );
    this.#finish();
  }

  #finish(): void {
    if (!this.#isServed) return;
    this.#isServed = false;
    this.#world.server.gone(this);
  }
}
