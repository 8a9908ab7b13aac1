import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno } from '../../../../src/common/ids.ts';
import { LeaseTurns, TURN_MS } from '../../../../src/mount/core/lease-turns.ts';

const INO = asIno(1024);

test('whoever has waited for a lease and uses it keeps it for a turn, and no longer', () => {
  const turns = new LeaseTurns();
  turns.began(INO, 7, 1_000);
  let lastedMs = 0;
  for (let ms = 0; turns.lasts(INO, 7, 1_000 + ms); ms += 0.1) {
    turns.used(INO, 1_000 + ms);
    lastedMs = ms;
  }
  assert.ok(lastedMs > TURN_MS - 1 && lastedMs < TURN_MS, `${lastedMs} ms`);
  assert.equal(turns.has(INO), false);
});

test('who makes no use of it gives it up at once', () => {
  const turns = new LeaseTurns();
  turns.began(INO, 7, 1_000);
  assert.equal(turns.lasts(INO, 7, 1_000.1), true);
  assert.equal(turns.lasts(INO, 7, 1_001), false);
  turns.used(INO, 1_001);
  assert.equal(turns.lasts(INO, 7, 1_001), false, 'a turn that is over does not begin again');
});

test('a turn is that of one lease', () => {
  const turns = new LeaseTurns();
  assert.equal(turns.lasts(INO, 7, 0), false, 'nobody has waited');
  turns.began(INO, 7, 0);
  turns.began(INO, 9, 0);
  assert.equal(turns.lasts(INO, 7, 0), false);
  assert.equal(turns.lasts(INO, 9, 0), true);
});
