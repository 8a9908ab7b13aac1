import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadConfig, parseConfig, updateConfig } from '../../../src/common/config.ts';

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
    ['{"join": "a b"}', /"join" must be HOST\[:PORT\], not "a b"/],
    ['{"listen": ":7480"}', /"listen" must be HOST/],
    ['{"peerListen": "h:70000"}', /"peerListen" must be HOST/],
  ];
  for (const [source, message] of bad) assert.throws(() => parseConfig(source, PATH), message);
});

test('what is no JSON object is refused with the path', () => {
  assert.throws(() => parseConfig('{"name": ', PATH), /config\.json is not valid JSON/);
  for (const source of ['[]', 'null', '1', '"x"']) {
    assert.throws(() => parseConfig(source, PATH), /must hold one JSON object/);
  }
});

async function scratch(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-config-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

test('a missing file is an empty configuration', async (t) => {
  const dir = await scratch(t);
  assert.deepEqual(await loadConfig(dir), {});
});

test('what commands remember joins what the user wrote', async (t) => {
  const dir = await scratch(t);
  const path = join(dir, 'config.json');
  await writeFile(path, '{"mountpoint": "/mnt/dfs", "listen": "127.0.0.1"}');
  const changes = { listen: '0.0.0.0', insecure: true, cacheSize: '10G', join: 'host:7480' };
  assert.equal(await updateConfig(dir, changes), true);
  assert.deepEqual(await loadConfig(dir), {
    mountpoint: '/mnt/dfs',
    listen: '0.0.0.0',
    insecure: true,
    cacheBytes: 10 * 2 ** 30,
    join: 'host:7480',
  });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('remembering what is known already writes nothing', async (t) => {
  const dir = await scratch(t);
  const path = join(dir, 'config.json');
  const source = '{ "listen":"0.0.0.0" }';
  await writeFile(path, source);
  assert.equal(await updateConfig(dir, { listen: '0.0.0.0' }), false);
  assert.equal(await updateConfig(dir, {}), false);
  assert.equal(await readFile(path, 'utf8'), source);
});

test('a value that could not be read again is not written', async (t) => {
  const dir = await scratch(t);
  await assert.rejects(updateConfig(dir, { listen: 'a b' }), { code: 'EINVAL' });
  assert.deepEqual(await loadConfig(dir), {});
});
