import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig, parseConfig } from '../../../src/common/config.ts';

const PATH = '/state/config.json';

test('known keys become typed values', () => {
  const source = JSON.stringify({
    name: 'alpha',
    cacheSize: '10G',
    copies: 2,
    mountpoint: '/mnt/dfs',
    readOnly: true,
  });
  assert.deepEqual(parseConfig(source, PATH), {
    name: 'alpha',
    cacheBytes: 10 * 2 ** 30,
    copies: 2,
    mountpoint: '/mnt/dfs',
    readOnly: true,
  });
});

test('an unknown key is refused with the file, the key and a suggestion', () => {
  assert.throws(() => parseConfig('{"chacheSize": "1G"}', PATH), {
    code: 'EINVAL',
    message: /\/state\/config\.json has an unknown key "chacheSize" \(did you mean cacheSize\?\)/,
  });
});

test('keys that every object has are unknown too', () => {
  assert.throws(() => parseConfig('{"constructor": 1}', PATH), /unknown key "constructor"/);
  assert.throws(() => parseConfig('{"__proto__": {}}', PATH), /unknown key "__proto__"/);
});

test('a value of another kind is refused with what is expected', () => {
  const bad: readonly [string, RegExp][] = [
    ['{"copies": 0}', /"copies" must be a number from 1 to 16, not 0/],
    ['{"copies": "2"}', /"copies" must be/],
    ['{"cacheSize": "lots"}', /"cacheSize" must be a size such as "10G", not "lots"/],
    ['{"mountpoint": "mnt"}', /"mountpoint" must be an absolute path/],
    ['{"readOnly": "yes"}', /"readOnly" must be true or false/],
    ['{"name": ""}', /"name" must be a name/],
  ];
  for (const [source, message] of bad) assert.throws(() => parseConfig(source, PATH), message);
});

test('what is no JSON object is refused with the path', () => {
  assert.throws(() => parseConfig('{"name": ', PATH), /config\.json is not valid JSON/);
  for (const source of ['[]', 'null', '1', '"x"']) {
    assert.throws(() => parseConfig(source, PATH), /must hold one JSON object/);
  }
});

test('a missing file is an empty configuration', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-config-'));
  t.after(() => rm(dir, { recursive: true }));
  assert.deepEqual(await loadConfig(dir), {});
});
