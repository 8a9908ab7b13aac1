import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES } from '../../../../src/common/ids.ts';
import { type Arrived, BlockFetch } from '../../../../src/mount/data/block-fetch.ts';
import { turns } from '../../../support/two-worlds.ts';

const AT_5 = { dv: 5, rgEpoch: 1 };
const RUN = { chunk: 1, blockFirst: 2, blockEnd: 6 };

function offsetOf(block: number): number {
  return CHUNK_BYTES + block * BLOCK_BYTES;
}

/** Blocks full of a value. */
function blocks(blockFirst: number, count: number, value: number): Arrived {
  const fill = (_offset: number, target: Uint8Array): boolean => {
    target.fill(value);
    return true;
  };
  return { blockFirst, count, fill };
}

/** What became of a wait so far. */
function outcome(wait: Promise<string>): { now: string } {
  const seen = { now: 'waits' };
  wait.then(
    (value) => {
      seen.now = value;
    },
    (error: unknown) => {
      seen.now = String(error);
    },
  );
  return seen;
}

test('whoever waits is answered as soon as his part is here', async () => {
  const fetch = new BlockFetch(RUN, AT_5);
  const near = { offset: offsetOf(2) + 10, target: Buffer.alloc(20) };
  const across = { offset: offsetOf(4) - 1, target: Buffer.alloc(2) };
  const first = outcome(fetch.wait(near));
  const second = outcome(fetch.wait(across));
  fetch.arrived(blocks(2, 2, 8));
  await turns();
  assert.deepEqual([first.now, second.now], ['filled', 'waits']);
  fetch.arrived(blocks(4, 1, 9));
  await turns();
  assert.equal(second.now, 'filled');
  assert.ok(near.target.every((byte) => byte === 8));
  assert.deepEqual([...across.target], [8, 9]);
});

test('after a new start everything is waited for again', async () => {
  const fetch = new BlockFetch(RUN, AT_5);
  const wanted = { offset: offsetOf(2), target: Buffer.alloc(2 * BLOCK_BYTES) };
  const seen = outcome(fetch.wait(wanted));
  fetch.arrived(blocks(2, 1, 8));
  fetch.restart(AT_5);
  fetch.arrived(blocks(2, 1, 9));
  await turns();
  assert.equal(seen.now, 'waits');
  fetch.arrived(blocks(3, 1, 9));
  await turns();
  assert.equal(seen.now, 'filled');
  assert.ok(wanted.target.every((byte) => byte === 9));
});

test('a wait for a block that is not here after all is told to begin again', async () => {
  const fetch = new BlockFetch(RUN, AT_5);
  const seen = outcome(fetch.wait({ offset: offsetOf(2), target: Buffer.alloc(2 * BLOCK_BYTES) }));
  fetch.arrived({ blockFirst: 2, count: 1, fill: () => false });
  fetch.arrived(blocks(3, 1, 9));
  await turns();
  assert.equal(seen.now, 'again');
});

test('the end of a transfer ends every wait', async () => {
  const failed = new BlockFetch(RUN, AT_5);
  const first = outcome(failed.wait({ offset: offsetOf(2), target: Buffer.alloc(1) }));
  failed.end(new FsError('EIO', 'no peer'));
  const short = new BlockFetch(RUN, AT_5);
  const second = outcome(short.wait({ offset: offsetOf(2), target: Buffer.alloc(1) }));
  short.end(undefined);
  await turns();
  assert.match(first.now, /no peer/);
  assert.equal(second.now, 'again');
});

test('a transfer offers what is still to come, of the version it was asked for', () => {
  const fetch = new BlockFetch(RUN, AT_5);
  const part = { ...RUN, blockFirst: 3, blockEnd: 5 };
  assert.ok(fetch.offers(part, AT_5));
  assert.ok(!fetch.offers({ ...part, chunk: 2 }, AT_5));
  assert.ok(!fetch.offers({ ...part, blockEnd: 7 }, AT_5));
  assert.ok(!fetch.offers(part, { ...AT_5, dv: 6 }));
  assert.ok(!fetch.offers(part, { ...AT_5, rgEpoch: 2 }));
  fetch.arrived(blocks(2, 2, 8));
  assert.ok(!fetch.offers(part, AT_5));
  assert.ok(fetch.offers({ ...part, blockFirst: 4 }, AT_5));
  fetch.restart({ ...AT_5, dv: 6 });
  assert.ok(fetch.offers(part, { ...AT_5, dv: 6 }));
  assert.ok(!fetch.offers(part, AT_5));
});
