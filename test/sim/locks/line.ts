/**
 * Takes the place of src/common/rpc/line.ts in the copy of the session client that is simulated:
 * dials in the simulated network.
 */
import type { SimProcess } from './process.ts';
import { runningProcess } from './process.ts';

export interface LineOptions {
  onFrame(frame: unknown): void;
  onDown(reason: string): void;
}

/** The end of a connection that the mount has. */
export interface ClientEnd {
  readonly isConnected: boolean;
  write(frame: unknown): void;
  hangUp(): void;
}

/** How each process dials. */
export const DIALS = new WeakMap<SimProcess, (options: LineOptions) => ClientEnd>();

export class Line {
  readonly #end: ClientEnd;

  constructor(options: LineOptions) {
    const dial = DIALS.get(runningProcess());
    if (dial === undefined) throw new Error('this process cannot dial');
    this.#end = dial(options);
  }

  get isConnected(): boolean {
    return this.#end.isConnected;
  }

  write(frame: unknown): void {
    this.#end.write(frame);
  }

  hangUp(): void {
    this.#end.hangUp();
  }
}
