/** What every store under the commit path must do. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asEpoch } from '../../src/common/ids.ts';
import type { Kv } from '../../src/metaserver/kv.ts';

export interface KvHarness {
  /** An empty store. */
  create(): Promise<Kv>;
  /** The store of the last `create`, closed and opened again; undefined when it cannot. */
  readonly reopen: (() => Promise<Kv>) | undefined;
}

const epoch = asEpoch(1);
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString('latin1');

function puts(...keys: string[]): Map<string, Uint8Array | undefined> {
  return new Map(keys.map((key) => [key, bytes(`value of ${key}`)]));
}

export function kvSuite(name: string, harness: KvHarness): void {
  describe(name, () => {
    it('returns what was committed and nothing else', async () => {
      await using kv = await harness.create();
      await kv.commit(puts('a', 'b'), epoch);
      assert.equal(text(kv.get('a')), 'value of a');
      assert.equal(kv.get('c'), undefined);
    });

    it('applies deletes and overwrites of one batch together', async () => {
      await using kv = await harness.create();
      await kv.commit(puts('a', 'b'), epoch);
      await kv.commit(
        new Map([
          ['a', undefined],
          ['b', bytes('new')],
        ]),
        epoch,
      );
      assert.equal(kv.get('a'), undefined);
      assert.equal(text(kv.get('b')), 'new');
    });

    it('keeps empty values', async () => {
      await using kv = await harness.create();
      await kv.commit(new Map([['empty', new Uint8Array(0)]]), epoch);
      assert.equal(kv.get('empty')?.length, 0);
    });

    it('orders keys by their bytes, from 0 to 255', async () => {
      await using kv = await harness.create();
      const keys = [0, 1, 9, 47, 127, 128, 200, 254, 255].map((code) => {
        return `k${String.fromCharCode(code)}`;
      });
      await kv.commit(puts(...keys.toReversed()), epoch);
      const entries = await kv.range({ gte: 'k', lt: 'l', limit: 100 });
      assert.deepEqual(
        entries.map(([key]) => key),
        keys,
      );
    });

    it('bounds a range by both ends and by its limit', async () => {
      await using kv = await harness.create();
      await kv.commit(puts('a', 'b', 'c', 'd', 'e'), epoch);
      const entries = await kv.range({ gte: 'b', lt: 'e', limit: 2 });
      assert.deepEqual(
        entries.map(([key]) => key),
        ['b', 'c'],
      );
      const rest = await kv.range({ gte: 'b', lt: 'e', limit: 10 });
      assert.deepEqual(
        rest.map(([key]) => key),
        ['b', 'c', 'd'],
      );
    });

    it('reads a range as it was when it was asked for', async () => {
      await using kv = await harness.create();
      await kv.commit(puts('a', 'b'), epoch);
      const asked = kv.range({ gte: 'a', lt: 'z', limit: 10 });
      const committed = kv.commit(
        new Map([
          ['a', undefined],
          ['c', bytes('x')],
        ]),
        epoch,
      );
      assert.deepEqual(
        (await asked).map(([key]) => key),
        ['a', 'b'],
      );
      await committed;
    });

    it('keeps a snapshot as it was, whatever is committed since', async () => {
      await using kv = await harness.create();
      await kv.commit(puts('a', 'b'), epoch);
      await using snapshot = kv.snapshot();
      await kv.commit(
        new Map([
          ['a', undefined],
          ['c', bytes('x')],
        ]),
        epoch,
      );
      const entries = await snapshot.range({ gte: 'a', lt: 'z', limit: 10 });
      assert.deepEqual(
        entries.map(([key]) => key),
        ['a', 'b'],
      );
      const values = await snapshot.getMany(['c', 'b', 'a']);
      assert.deepEqual(values.map(text), [undefined, 'value of b', 'value of a']);
    });

    it('refuses a writer of an older shard epoch', async () => {
      await using kv = await harness.create();
      await kv.commit(puts('a'), asEpoch(2));
      await assert.rejects(kv.commit(puts('b'), epoch), { code: 'ESTALE' });
      assert.equal(kv.get('b'), undefined);
    });

    const { reopen } = harness;
    if (reopen === undefined) return;
    it('keeps everything committed over a restart', async () => {
      {
        await using kv = await harness.create();
        await kv.commit(puts('a', 'k\xff\x00'), epoch);
      }
      await using kv = await reopen();
      assert.equal(text(kv.get('a')), 'value of a');
      assert.equal(text(kv.get('k\xff\x00')), 'value of k\xff\x00');
    });
  });
}
