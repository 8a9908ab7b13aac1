/**
 * A file that is only appended to, in records of one length. The records as they lie in the file in
 * the end give the order, so that no search is needed: an append has the place of its record, a
 * look the number of records that it saw, and two calls contradict each other when the places say
 * one order and real time the other.
 *
 * What a machine appended and did not sync before it failed may be missing in the end, though that
 * machine's own programs may have seen it before: such records may stand behind what they saw. Others
 * may have seen that the file was longer, but nothing of its bytes.
 */
import {
  byTime,
  describe,
  type Fault,
  precedes,
  RIGHT,
  type Timed,
  type Verdict,
  wrong,
} from './history.ts';

export type AppendCall = Timed &
  (
    | {
        readonly kind: 'append';
        readonly record: number;
        /** fsync(2) or close(2) on the same descriptor succeeded afterwards. */
        readonly synced: boolean;
      }
    /** The whole file. A record is undefined where the bytes are none. */
    | { readonly kind: 'read'; readonly records: readonly (number | undefined)[] }
    /** stat(2), in records; a fraction when it is not a multiple of their length. */
    | { readonly kind: 'size'; readonly records: number }
  );

type Append = AppendCall & { readonly kind: 'append' };
type Look = AppendCall & { readonly kind: 'read' | 'size' };

/** A look saw at least `least` and at most `most` records of the final file. */
interface Seen {
  readonly look: Look;
  readonly least: number;
  readonly most: number;
}

function shown(call: AppendCall): string {
  switch (call.kind) {
    case 'append':
      return describe(call, `appended record ${call.record}${call.synced ? '' : ', not synced'}`);
    case 'read': {
      const { length } = call.records;
      const tail = call.records.slice(-3).map((record) => record ?? 'damaged');
      return describe(call, `read ${length} records${length > 0 ? `, the last ${tail}` : ''}`);
    }
    case 'size':
      return describe(call, `saw a size of ${call.records} records`);
  }
}

class AppendFile {
  readonly #object: string;
  readonly #final: readonly number[];
  readonly #place: ReadonlyMap<number, number>;
  readonly #appends: readonly Append[];
  readonly #faults: readonly Fault[];
  readonly #byRecord: ReadonlyMap<number, Append>;

  constructor(
    object: string,
    final: readonly number[],
    appends: readonly Append[],
    faults: readonly Fault[],
  ) {
    this.#object = object;
    this.#final = final;
    this.#place = new Map(final.map((record, index) => [record, index]));
    this.#appends = appends;
    this.#faults = faults;
    this.#byRecord = new Map(appends.map((append) => [append.record, append]));
  }

  check(looks: readonly Look[]): Verdict {
    const own = this.#checkRecords() ?? this.#checkOrder();
    if (own !== undefined) return own;
    const seen: Seen[] = [];
    for (const look of looks) {
      const found = this.#see(look);
      if ('kind' in found) return found;
      seen.push(found);
    }
    return this.#checkMonotone(seen) ?? this.#checkAgainstAppends(seen) ?? RIGHT;
  }

  #wrong(reason: string, calls: readonly AppendCall[]): Verdict {
    return wrong(this.#object, reason, [...calls].sort(byTime).map(shown));
  }

  /** Each record once, and each that was acknowledged. */
  #checkRecords(): Verdict | undefined {
    const doubled = this.#final.find((record, index) => this.#final.indexOf(record) !== index);
    if (doubled !== undefined) {
      const calls = this.#appends.filter(({ record }) => record === doubled);
      return this.#wrong(`record ${doubled} is in the file twice`, calls);
    }
    const unknown = this.#final.find((record) => !this.#byRecord.has(record));
    if (unknown !== undefined) return this.#wrong(`nobody appended record ${unknown}`, []);
    const lost = this.#appends.find(
      (append) => append.optional !== true && this.#isMissing(append) && !this.#mayBeLost(append),
    );
    if (lost === undefined) return undefined;
    return this.#wrong(`record ${lost.record} was acknowledged and is lost`, [lost]);
  }

  #isMissing({ record }: Append): boolean {
    return !this.#place.has(record);
  }

  #mayBeLost(append: Append): boolean {
    if (append.optional === true) return true;
    const { mount, synced, invokeNs } = append;
    return !synced && this.#faults.some((fault) => fault.mount === mount && fault.endNs > invokeNs);
  }

  /** In the order of the file, nothing stands behind what began after it had returned. */
  #checkOrder(): Verdict | undefined {
    let latest: Append | undefined;
    for (const record of this.#final) {
      const append = this.#byRecord.get(record);
      if (append === undefined) continue;
      if (latest !== undefined && precedes(append, latest)) {
        const reason = `record ${append.record} had been appended before ${latest.record} and stands behind it`;
        return this.#wrong(reason, [append, latest]);
      }
      if (latest === undefined || append.invokeNs > latest.invokeNs) latest = append;
    }
    return undefined;
  }

  #see(look: Look): Seen | Verdict {
    return look.kind === 'read' ? this.#seeRecords(look) : this.#seeSize(look);
  }

  #seeRecords(look: Look & { readonly kind: 'read' }): Seen | Verdict {
    const { records } = look;
    const torn = records.indexOf(undefined);
    if (torn >= 0) return this.#wrong(`record number ${torn} was read damaged`, [look]);
    const differs = records.findIndex((record, index) => record !== this.#final[index]);
    const common = differs < 0 ? records.length : differs;
    for (const record of records.slice(common)) {
      const append = record === undefined ? undefined : this.#byRecord.get(record);
      if (append === undefined) return this.#wrong(`nobody appended record ${record}`, [look]);
      if (!this.#isPhantom(append, look)) {
        return this.#wrong('what was read is no beginning of the file', [look, append]);
      }
    }
    return { look, least: common, most: common };
  }

  #seeSize(look: Look & { readonly kind: 'size' }): Seen | Verdict {
    const { records } = look;
    if (!Number.isInteger(records)) return this.#wrong('a size within a record was seen', [look]);
    // Others are told how long a file is that is being written, before that is published.
    const phantoms = this.#appends.filter((append) => this.#isLostLater(append, look)).length;
    if (records > this.#final.length + phantoms) {
      return this.#wrong(`a size beyond the ${this.#final.length} records was seen`, [look]);
    }
    const most = Math.min(records, this.#final.length);
    return { look, least: Math.max(0, records - phantoms), most };
  }

  /** Seen where it was appended, and lost with that machine later. */
  #isPhantom(append: Append, look: Look): boolean {
    return append.mount === look.mount && this.#isLostLater(append, look);
  }

  /** It may have been there when the look ended, and was lost with its machine. */
  #isLostLater(append: Append, look: Look): boolean {
    return this.#isMissing(append) && append.invokeNs <= look.returnNs && this.#mayBeLost(append);
  }

  /** What was seen once is seen by every later look, of anybody. */
  #checkMonotone(seen: readonly Seen[]): Verdict | undefined {
    const ended = [...seen].sort((one, other) => one.look.returnNs - other.look.returnNs);
    const begun = [...seen].sort((one, other) => one.look.invokeNs - other.look.invokeNs);
    let most: Seen | undefined;
    let next = 0;
    for (const later of begun) {
      for (;;) {
        const earlier = ended[next];
        if (earlier === undefined || !precedes(earlier.look, later.look)) break;
        if (most === undefined || earlier.least > most.least) most = earlier;
        next += 1;
      }
      if (most === undefined || most.least <= later.most) continue;
      const reason = `new, then old: ${most.least} records were seen, and later ${later.most}`;
      return this.#wrong(reason, [most.look, later.look]);
    }
    return undefined;
  }

  #checkAgainstAppends(seen: readonly Seen[]): Verdict | undefined {
    for (const { look, least, most } of seen) {
      const missed = this.#appends.find(
        (append) => precedes(append, look) && this.#placeOf(append) >= most,
      );
      if (missed !== undefined) {
        return this.#wrong(`stale: record ${missed.record} was not seen`, [missed, look]);
      }
      const early = this.#appends.find(
        (append) => precedes(look, append) && this.#placeOf(append) < least,
      );
      if (early === undefined) continue;
      return this.#wrong(`record ${early.record} was seen before it was appended`, [look, early]);
    }
    return undefined;
  }

  /** One that is not in the file in the end contradicts nothing here. */
  #placeOf({ record }: Append): number {
    return this.#place.get(record) ?? Number.NaN;
  }
}

/**
 * @param final the records in the file when all had ended, undefined where the bytes are none
 * @param faults of machines whose programs may have lost what they had not synced
 */
export function checkAppends(
  object: string,
  calls: readonly AppendCall[],
  final: readonly (number | undefined)[],
  faults: readonly Fault[] = [],
): Verdict {
  const torn = final.indexOf(undefined);
  if (torn >= 0) {
    const near = final.slice(Math.max(0, torn - 1), torn + 2).map((record) => record ?? 'damaged');
    return wrong(object, `record number ${torn} is damaged in the end: ${near}`, []);
  }
  const whole = final.filter((record) => record !== undefined);
  const appends = calls.filter((call) => call.kind === 'append');
  const looks = calls.filter((call) => call.kind !== 'append');
  return new AppendFile(object, whole, appends, faults).check(looks);
}
