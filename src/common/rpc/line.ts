/**
 * One try to talk to a metaserver: a connection of its own and the one stream on it. Both end
 * together, so that a connection which only seems to be there is never used again.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { MetaServiceClient } from '../../../gen/meta.ts';
import { dialMetaserver, isConnected } from './channel.ts';

export interface LineOptions<Sent, Received> {
  /** `unix:PATH` or HOST:PORT. */
  readonly address: string;
  readonly open: (client: MetaServiceClient) => ClientDuplexStream<Sent, Received>;
  onFrame(frame: Received): void;
  /** At most once, and nothing after it. */
  onDown(reason: string): void;
}

export class Line<Sent, Received> {
  readonly #client: MetaServiceClient;
  readonly #stream: ClientDuplexStream<Sent, Received>;
  #isOver = false;

  constructor({ address, open, onFrame, onDown }: LineOptions<Sent, Received>) {
    const down = (reason: string): void => {
      if (this.#isOver) return;
      this.hangUp();
      onDown(reason);
    };
    this.#client = dialMetaserver(address);
    this.#stream = open(this.#client);
    this.#stream.on('data', (frame: Received) => {
      if (!this.#isOver) onFrame(frame);
    });
    this.#stream.on('error', (error) => down(error.message));
    this.#stream.on('end', () => down('the metaserver ended the stream'));
  }

  get isConnected(): boolean {
    return isConnected(this.#client);
  }

  /** Frames arrive in order, or the line goes down. */
  write(frame: Sent): void {
    if (!this.#isOver) this.#stream.write(frame);
  }

  /** Nothing is heard of it afterwards. */
  hangUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.end();
    this.#stream.cancel();
    this.#client.close();
  }
}
