import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean, suggest } from '../../../src/common/suggest.ts';
import { formatBytes, parseDurationMs, parseSizeBytes } from '../../../src/common/units.ts';

test('sizes are powers of 1024, with or without iB', () => {
  const sizes = ['0', '4096', '10G', '1.5MiB', '2 tb', '1k'];
  const bytes = [0, 4096, 10 * 2 ** 30, 1.5 * 2 ** 20, 2 * 2 ** 40, 1024];
  assert.deepEqual(sizes.map(parseSizeBytes), bytes);
});

test('what is no size is refused', () => {
  for (const text of ['', 'G', '-1', '1e9', '10X', '10 G B', '99999999P', '0x10']) {
    assert.equal(parseSizeBytes(text), undefined, text);
  }
});

test('durations have units, a bare number is seconds', () => {
  const texts = ['30s', '30', '500ms', '2m', '1.5h', '1d'];
  const ms = [30_000, 30_000, 500, 120_000, 5_400_000, 86_400_000];
  assert.deepEqual(texts.map(parseDurationMs), ms);
});

test('what is no duration is refused', () => {
  for (const text of ['', 's', '-1s', '1w', '1s2']) assert.equal(parseDurationMs(text), undefined);
});

test('sizes are shown with at most three digits', () => {
  const shown = [0, 1023, 1024, 1536, 10 * 2 ** 20, 252 * 2 ** 30].map(formatBytes);
  assert.deepEqual(shown, ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '10 MiB', '252 GiB']);
});

test('a misspelled word finds the one that was meant', () => {
  const known = ['mount', 'unmount', 'status', 'stop'];
  assert.equal(suggest('moutn', known), 'mount');
  assert.equal(suggest('statsu', known), 'status');
  assert.equal(suggest('STOP', known), 'stop');
});

test('a word that resembles none gets no suggestion', () => {
  assert.equal(suggest('frobnicate', ['mount', 'stop']), undefined);
  assert.equal(didYouMean('frobnicate', ['mount', 'stop']), '');
});
