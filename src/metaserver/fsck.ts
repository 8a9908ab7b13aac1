/**
 * Reads a snapshot of the whole database for a check, page by page, so that requests are served in
 * between. What is written meanwhile is not in the snapshot, and does not confuse it.
 */
import type { FsckTotals, NamespaceReport } from '../common/core/fsck-report.ts';
import { FsError } from '../common/errno.ts';
import { asGroupId, asIno, asSessionId, type Ino } from '../common/ids.ts';
import { NamespaceCheck, type StoredCounters } from './core/fsck.ts';
import {
  decodeU64,
  dentryKey,
  family,
  INODES_KEY,
  NEXT_INO_KEY,
  NEXT_SID_KEY,
  RECLAIM_COUNT_KEY,
  slotKey,
} from './core/keyspace.ts';
import type { Codec } from './core/records.ts';
import type { KvEntry, KvSnapshot } from './kv.ts';
import { storeCodecs } from './store-codec.ts';

/** A page takes some milliseconds of this thread. */
const PAGE = 500;
/** Of the letter, and of what follows it; names are longer. */
const KEY_CHARS: ReadonlyMap<string, number> = new Map([
  ['g', 9],
  ['n', 9],
  ['i', 9],
  ['o', 17],
  ['s', 9],
  ['t', 9],
  ['e', 17],
  ['r', 25],
]);
const NAME_AT = 9;

type Page = readonly KvEntry[];

export interface FsckOptions {
  readonly snapshot: KvSnapshot;
  readonly signal: AbortSignal;
  /** Told as it goes on. */
  readonly onProgress?: (totals: FsckTotals) => void;
}

/** @throws FsError EIO the database cannot be read, EINTR aborted */
export async function checkNamespace(options: FsckOptions): Promise<NamespaceReport<string>> {
  const walk = new Walk(options, new NamespaceCheck(await countersOf(options.snapshot)));
  return walk.run();
}

class Walk {
  readonly #options: FsckOptions;
  readonly #check: NamespaceCheck;

  constructor(options: FsckOptions, check: NamespaceCheck) {
    this.#options = options;
    this.#check = check;
  }

  async run(): Promise<NamespaceReport<string>> {
    const check = this.#check;
    const { group, inode, reclaim, session, text } = storeCodecs;
    await this.#each('g', (key, value) => {
      if (decoded(group, value) === undefined) check.unreadable('a replica group');
      check.group(asGroupId(decodeU64(key, 1)));
    });
    await this.#each('n', (key, value) => {
      const state = decoded(session, value);
      const sid = asSessionId(decodeU64(key, 1));
      if (state === undefined) check.unreadable(`session ${sid}`);
      check.session(sid, state === undefined || state.instance !== undefined);
    });
    await this.#each('i', (key, value) => check.inode(inoAt(key), decoded(inode, value)));
    await this.#pages('d', (page) => this.#entries(page));
    await this.#pages('e', (page) => this.#slots(page));
    await this.#each('o', (key) => check.opener(inoAt(key), asSessionId(decodeU64(key, 9))));
    await this.#each('s', (key, value) => {
      if (decoded(text, value) === undefined) check.unreadable('its target', inoAt(key));
      check.target(inoAt(key));
    });
    await this.#each('t', (key, value) => check.reclaim(inoAt(key), decoded(reclaim, value)));
    await this.#each('r', (key) => check.reply(asSessionId(decodeU64(key, 1))));
    return this.#conclude();
  }

  async #conclude(): Promise<NamespaceReport<string>> {
    const conclusion = this.#check.conclude();
    for (;;) {
      const step = conclusion.next();
      if (step.done === true) return step.value;
      await this.#turn();
    }
  }

  async #entries(page: Page): Promise<void> {
    const entries = page.map(([key, value]) => ({
      dir: inoAt(key),
      name: key.slice(NAME_AT),
      entry: decoded(storeCodecs.entry, value),
    }));
    const slots = await this.#options.snapshot.getMany(
      entries.map(({ dir, entry }) => slotKey(dir, entry?.seq ?? 0)),
    );
    for (const [at, { dir, name, entry }] of entries.entries()) {
      this.#check.entry({ dir, name }, entry, decoded(storeCodecs.slot, slots[at]));
    }
  }

  async #slots(page: Page): Promise<void> {
    const slots = page.map(([key, value]) => ({
      dir: inoAt(key),
      seq: decodeU64(key, NAME_AT),
      slot: decoded(storeCodecs.slot, value),
    }));
    const entries = await this.#options.snapshot.getMany(
      slots.map(({ dir, slot }) => dentryKey(dir, slot?.name ?? '')),
    );
    for (const [at, { dir, seq, slot }] of slots.entries()) {
      this.#check.slot(dir, seq, slot, decoded(storeCodecs.entry, entries[at]));
    }
  }

  async #each(letter: string, learn: (key: string, value: Uint8Array) => void): Promise<void> {
    await this.#pages(letter, async (page) => {
      for (const [key, value] of page) learn(key, value);
    });
  }

  /** Keys that are too short or too long name nothing. */
  async #pages(letter: string, learn: (page: Page) => Promise<void>): Promise<void> {
    const { gte, lt } = family(letter);
    const chars = KEY_CHARS.get(letter);
    const isKey = ([key]: KvEntry): boolean =>
      (chars === undefined ? key.length > NAME_AT : key.length === chars) &&
      Number.isSafeInteger(decodeU64(key, 1));
    for (let from = gte; ; ) {
      const page = await this.#options.snapshot.range({ gte: from, lt, limit: PAGE });
      const sound = page.filter(isKey);
      for (let at = sound.length; at < page.length; at += 1) {
        this.#check.unreadable(`the key of a record "${letter}"`);
      }
      await learn(sound);
      await this.#turn();
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined) return;
      from = `${last[0]}\0`;
    }
  }

  /** Everything else that waits goes first. */
  async #turn(): Promise<void> {
    const { onProgress, signal } = this.#options;
    onProgress?.(this.#check.totals);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    if (signal.aborted) throw new FsError('EINTR', 'the check was stopped');
  }
}

async function countersOf(snapshot: KvSnapshot): Promise<StoredCounters> {
  const keys = [INODES_KEY, RECLAIM_COUNT_KEY, NEXT_INO_KEY, NEXT_SID_KEY];
  const values = await snapshot.getMany(keys);
  const [inodes = 0, reclaimPending = 0, nextIno = 0, nextSid = 0] = values.map((value) =>
    value === undefined ? 0 : (decoded(storeCodecs.counter, value) ?? 0),
  );
  return { inodes, reclaimPending, nextIno, nextSid };
}

const inoAt = (key: string): Ino => asIno(decodeU64(key, 1));

/** undefined: it is not there, or cannot be decoded. */
function decoded<T>(codec: Codec<T>, value: Uint8Array | undefined): T | undefined {
  if (value === undefined) return undefined;
  try {
    return codec.decode(value);
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
}
