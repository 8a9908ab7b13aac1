/**
 * How a process started in the background tells the command that started it how that went: one
 * JSON line on descriptor 3, {"ready":true} or {"error":"sentence"}.
 */
import { closeSync, writeSync } from 'node:fs';

export const READY_FD = 3;
/** Set for the child, so that a stray descriptor 3 is never written to. */
export const READY_VARIABLE = 'DFS_READY_FD';

export class Readiness {
  #fd: number | undefined;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#fd = env[READY_VARIABLE] === String(READY_FD) ? READY_FD : undefined;
  }

  ready(): void {
    this.#send({ ready: true });
  }

  failed(sentence: string): void {
    this.#send({ error: sentence });
  }

  /** Said once; the command may be gone already, which is nobody's trouble. */
  #send(document: object): void {
    if (this.#fd === undefined) return;
    try {
      writeSync(this.#fd, `${JSON.stringify(document)}\n`);
      closeSync(this.#fd);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
    this.#fd = undefined;
  }
}

export type ReadyAnswer = { readonly ready: true } | { readonly error: string };

/** @returns undefined for anything but the line above */
export function parseReady(line: string): ReadyAnswer | undefined {
  let document: unknown;
  try {
    document = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof document !== 'object' || document === null) return undefined;
  if ('error' in document && typeof document.error === 'string') return { error: document.error };
  return 'ready' in document && document.ready === true ? { ready: true } : undefined;
}
