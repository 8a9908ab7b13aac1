import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { run } from '../dfs.ts';

/** A disk that loses power: what was not synced on it is gone afterwards. */
export class FaultDisk {
  readonly mountpoint: string;
  readonly #base: string;
  #child: ChildProcess | undefined;

  constructor(dir: string) {
    this.mountpoint = join(dir, 'disk');
    this.#base = join(dir, 'disk-durable');
  }

  async powerOn(): Promise<void> {
    await mkdir(this.mountpoint, { recursive: true });
    await mkdir(this.#base, { recursive: true });
    const main = resolve(import.meta.dirname, 'main.js');
    const child = spawn(process.execPath, [main, this.mountpoint, this.#base], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: '/',
    });
    this.#child = child;
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => {
        throw new Error('the fault filesystem did not start');
      }),
    ]);
  }

  /** Ends it at once; whoever uses it gets errors from then on. */
  async powerOff(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }

  /** After power off, when nothing uses it any more. */
  async unplug(): Promise<void> {
    await run('umount', ['-l', this.mountpoint]);
  }
}
