/**
 * Checks of the namespace that were asked for. A check may take longer than anybody should wait
 * for one answer, so it is begun, and then asked for. One runs at a time; who begins another while
 * one waits for its turn shares it.
 */
import type { FsckReply } from '../../gen/meta.ts';
import type { FsckTotals, NamespaceReport } from '../common/core/fsck-report.ts';
import { FsError, toFsError } from '../common/errno.ts';
import { nameToBytes } from '../common/name.ts';
import { checkNamespace } from './fsck.ts';
import type { KvSnapshot } from './kv.ts';

export interface FsckDeskOptions {
  /** The database at a moment when no session is half ended. */
  snapshot(): Promise<KvSnapshot>;
}

interface Run {
  readonly id: number;
  begun: boolean;
  totals: FsckTotals;
  report: NamespaceReport<string> | undefined;
  error: FsError | undefined;
}

/** Of those that are done the last ones are kept. */
const RUNS_MAX = 8;
const NOTHING: FsckTotals = { inodes: 0, names: 0, openers: 0, reclaimPending: 0 };

export class FsckDesk {
  readonly #options: FsckDeskOptions;
  readonly #stop = new AbortController();
  readonly #runs = new Map<number, Run>();
  #turn: Promise<void> = Promise.resolve();
  #nextId = 1;

  constructor(options: FsckDeskOptions) {
    this.#options = options;
  }

  /** @param id 0 begins a check. @throws FsError ENOENT not known · EIO it failed */
  ask(id: number): FsckReply {
    const run = id === 0 ? this.#begin() : this.#runs.get(id);
    if (run === undefined) throw new FsError('ENOENT', `no check ${id} is known here`);
    if (run.error !== undefined) throw run.error;
    return replyOf(run);
  }

  /** Resolves when nothing is read any more. Nothing is begun afterwards. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#turn;
  }

  #begin(): Run {
    for (const run of this.#runs.values()) if (!run.begun) return run;
    const id = this.#nextId;
    this.#nextId += 1;
    const run: Run = { id, begun: false, totals: NOTHING, report: undefined, error: undefined };
    this.#runs.set(id, run);
    this.#turn = this.#turn.then(() => this.#check(run));
    const oldest = this.#runs.keys().next();
    if (this.#runs.size > RUNS_MAX && oldest.done !== true) this.#runs.delete(oldest.value);
    return run;
  }

  async #check(run: Run): Promise<void> {
    const { signal } = this.#stop;
    run.begun = true;
    try {
      if (signal.aborted) throw new FsError('EIO', 'the metaserver is ending');
      await using snapshot = await this.#options.snapshot();
      const onProgress = (totals: FsckTotals): void => {
        run.totals = totals;
      };
      run.report = await checkNamespace({ snapshot, signal, onProgress });
    } catch (error) {
      run.error = toFsError(error, 'the namespace could not be checked');
    }
  }
}

function replyOf({ id, report, totals }: Run): FsckReply {
  const { inodes, names, openers, reclaimPending } = report ?? totals;
  return {
    run: BigInt(id),
    done: report !== undefined,
    inodes: BigInt(inodes),
    names: BigInt(names),
    openers: BigInt(openers),
    reclaimPending: BigInt(reclaimPending),
    counts: Object.entries(report?.counts ?? {}).map(([code, count]) => ({
      code,
      count: BigInt(count),
    })),
    findings: (report?.findings ?? []).map(({ code, dir, ino, message, name }) => ({
      code,
      ino: BigInt(ino),
      dir: BigInt(dir),
      name: nameToBytes(name),
      message,
    })),
  };
}
