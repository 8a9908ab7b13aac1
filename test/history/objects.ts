/**
 * Which objects a record is about, and what each call says of them: blocks, appended files and
 * groups of names. Here is decided what an error means: a change that failed may have happened,
 * unless the error says what was there, or that nothing was asked.
 */
import { basename } from 'node:path';
import type { AppendCall } from './core/append.ts';
import type { Timed } from './core/history.ts';
import type { NamesCall } from './core/names.ts';
import type { BlockCall } from './core/register.ts';
import type { Entry } from './record.ts';

export interface Objects {
  readonly blocks: ReadonlyMap<string, BlockCall[]>;
  readonly appends: ReadonlyMap<string, AppendCall[]>;
  readonly names: ReadonlyMap<string, NamesCall[]>;
  /** The records of each appended file in the end, as the first mount read them. */
  readonly finals: ReadonlyMap<string, readonly (number | undefined)[]>;
  /** Blocks that were read in two parts: that of their first word and that of their last. */
  readonly torn: readonly { readonly block: string; readonly entry: Entry }[];
  /** Reads of what a program of the same machine was still writing: they are not judged. */
  readonly early: number;
}

const BLOCKS = 3;
const DIRECTORIES: Readonly<Record<string, readonly string[]>> = {
  d0: ['d0/x', 'd0/y', 'd0/z'],
  d1: ['d1/x', 'd1/y', 'd1/z'],
  d2: ['w0', 'w1', 'a0', 'a1'],
};
/** The connection of the mount was dead: the kernel asked nobody. */
const NOT_ASKED = 'ENOTCONN';

function timed({ client, mount, invokeNs, returnNs, error }: Entry): Timed {
  const certain = error === undefined;
  return {
    client,
    mount,
    invokeNs,
    returnNs: certain ? returnNs : Number.POSITIVE_INFINITY,
    ...(certain ? {} : { optional: true }),
  };
}

/** What a call saw, whatever it returned. */
function look({ client, mount, invokeNs, returnNs }: Entry): Timed {
  return { client, mount, invokeNs, returnNs };
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function handleOf({ client, handle }: Entry): string {
  return `${client} ${handle}`;
}

class Sorter implements Objects {
  readonly blocks = new Map<string, BlockCall[]>();
  readonly appends = new Map<string, AppendCall[]>();
  readonly names = new Map<string, NamesCall[]>();
  readonly finals = new Map<string, readonly (number | undefined)[]>();
  readonly torn: { block: string; entry: Entry }[] = [];
  early = 0;
  readonly #writes = new Map<number, Entry>();
  /** What a descriptor said of all that was written through it until then, oldest first. */
  readonly #words = new Map<string, Entry[]>();

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      if (isSync(entry) || isLoss(entry)) add(this.#words, handleOf(entry), entry);
    }
    for (const words of this.#words.values()) words.sort((a, b) => a.invokeNs - b.invokeNs);
    for (const entry of entries)
      if (entry.op === 'pwrite') this.#writes.set(entry.about.w ?? 0, entry);
    for (const entry of entries) this.#sort(entry);
  }

  #sort(entry: Entry): void {
    switch (entry.op) {
      case 'pread':
      case 'mmap':
        this.#blockRead(entry);
        break;
      case 'pwrite':
        this.#blockWrite(entry);
        break;
      case 'cut':
        this.#cut(entry);
        break;
      case 'fsync':
      case 'close':
        this.#sync(entry);
        break;
      case 'append':
        this.#append(entry);
        break;
      case 'read':
        this.#appendedRead(entry);
        break;
      case 'size':
        this.#size(entry);
        break;
      default:
        for (const call of namesCalls(entry)) add(this.names, entry.file, call);
    }
  }

  #block({ file }: Entry, number: number): string {
    return `${file} block ${number}`;
  }

  #blockRead(entry: Entry): void {
    if (entry.error !== undefined) return;
    const block = this.#block(entry, entry.about.b ?? 0);
    if (Array.isArray(entry.value)) this.torn.push({ block, entry });
    else if (this.#isEarly(entry)) this.early += 1;
    else add(this.blocks, block, { ...look(entry), kind: 'read', value: Number(entry.value) });
  }

  /** The kernel shows its own programs what is written before it asks whether it may be. */
  #isEarly({ mount, invokeNs, value }: Entry): boolean {
    const write = this.#writes.get(Number(value));
    return write !== undefined && write.mount === mount && invokeNs < write.returnNs;
  }

  #blockWrite(entry: Entry): void {
    const { b = 0, w = 0 } = entry.about;
    add(this.blocks, this.#block(entry, b), { ...timed(entry), kind: 'write', value: w });
  }

  /** Each block is judged by itself: that they were cut at once is not. */
  #cut(entry: Entry): void {
    for (let block = entry.about.b ?? 0; block < BLOCKS; block++) {
      add(this.blocks, this.#block(entry, block), { ...timed(entry), kind: 'zero' });
    }
  }

  #sync(entry: Entry): void {
    if (!isSync(entry) || !/\/[wcl]\d(\.\d+)?$/.test(entry.file)) return;
    for (let block = 0; block < BLOCKS; block++) {
      add(this.blocks, this.#block(entry, block), { ...look(entry), kind: 'sync' });
    }
  }

  #append(entry: Entry): void {
    const words = this.#words.get(handleOf(entry)) ?? [];
    const word = words.find(({ invokeNs }) => invokeNs >= entry.returnNs);
    const synced = word !== undefined && isSync(word);
    add(this.appends, entry.file, {
      ...timed(entry),
      kind: 'append',
      record: entry.about.w ?? 0,
      synced,
    });
  }

  #size(entry: Entry): void {
    if (entry.error !== undefined) return;
    add(this.appends, entry.file, { ...look(entry), kind: 'size', records: Number(entry.value) });
  }

  #appendedRead(entry: Entry): void {
    if (entry.error !== undefined) return;
    const given = entry.value as readonly (number | null)[];
    const records = given.map((record) => record ?? undefined);
    if (entry.about.last === true && entry.mount === 0) this.finals.set(entry.file, records);
    add(this.appends, entry.file, { ...look(entry), kind: 'read', records });
  }
}

function isSync({ op, error }: Entry): boolean {
  return (op === 'fsync' || op === 'close') && error === undefined;
}

/** A loss is told once: what succeeds through the descriptor after that says nothing of before. */
function isLoss({ error }: Entry): boolean {
  return error === 'EIO' || error === 'ESTALE';
}

function namesCalls(entry: Entry): readonly NamesCall[] {
  const { op, error, about } = entry;
  const { a: name = '', to = '', m: mark = 0, over: replaces = true } = about;
  if (error === NOT_ASKED) return [];
  if (error === 'EEXIST') {
    return [{ ...look(entry), kind: 'present', name: op === 'create' ? name : to }];
  }
  if (error === 'ENOENT') {
    if (op === 'fstat') return [];
    // link(2) may also have found a file that lost its last name before it got another one.
    return op === 'link' || op === 'list' ? [] : [{ ...look(entry), kind: 'absent', name }];
  }
  switch (op) {
    case 'create':
      return [{ ...timed(entry), kind: 'create', name, mark }];
    case 'unlink':
      return [{ ...timed(entry), kind: 'unlink', name }];
    case 'rename':
      return [{ ...timed(entry), kind: 'rename', name, to, replaces }];
    case 'link':
      return [{ ...timed(entry), kind: 'link', name, to }];
    default:
      return error === undefined ? nameLooks(entry, name) : [];
  }
}

function nameLooks(entry: Entry, name: string): readonly NamesCall[] {
  switch (entry.op) {
    case 'stat':
      return statLooks(entry, name);
    case 'hold':
      return [{ ...look(entry), kind: 'present', name, mark: Number(entry.value) }];
    case 'fstat':
      return statLooks(entry, name).slice(1);
    case 'list':
      return listLooks(entry, name);
    default:
      return [];
  }
}

function statLooks(entry: Entry, name: string): readonly NamesCall[] {
  const [mark = 0, links = 0] = entry.value as readonly number[];
  return [
    { ...look(entry), kind: 'present', name, mark },
    { ...look(entry), kind: 'count', mark, links },
  ];
}

function listLooks(entry: Entry, directory: string): readonly NamesCall[] {
  const listed = entry.value as readonly string[];
  return (DIRECTORIES[directory] ?? []).map((name) => ({
    ...look(entry),
    kind: listed.includes(basename(name)) ? 'present' : 'absent',
    name,
  }));
}

export function objectsOf(entries: readonly Entry[]): Objects {
  return new Sorter(entries);
}
