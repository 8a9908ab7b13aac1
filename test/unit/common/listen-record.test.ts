import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { rememberListeners } from '../../../src/cli/listeners.ts';
import { readListenRecord, writeListenRecord } from '../../../src/common/listen-record.ts';
import { type StatePaths, statePaths } from '../../../src/common/state-paths.ts';

async function scratch(t: TestContext): Promise<StatePaths> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-listen-'));
  t.after(() => rm(dir, { recursive: true }));
  return statePaths(dir);
}

test('a node that never listened remembers nothing', async (t) => {
  assert.deepEqual(await readListenRecord(await scratch(t)), { metaserver: [], peer: undefined });
});

test('what was written is read', async (t) => {
  const paths = await scratch(t);
  const record = {
    metaserver: [{ host: '0.0.0.0', port: 7480 }],
    peer: { host: '::1', port: 7481 },
  };
  await writeListenRecord(paths, record);
  assert.deepEqual(await readListenRecord(paths), record);
});

test('each part is remembered without the other', async (t) => {
  const paths = await scratch(t);
  const metaserver = [{ host: '127.0.0.1', port: 7480 }];
  const peer = { host: '127.0.0.1', port: 7481 };
  await rememberListeners(paths, { metaserver });
  await rememberListeners(paths, { peer });
  assert.deepEqual(await readListenRecord(paths), { metaserver, peer });
});

test('a damaged record is refused with what to do', async (t) => {
  const paths = await scratch(t);
  await writeFile(paths.listenRecord, '{"metaserver": [');
  const message = /listen\.json is damaged: delete it/;
  await assert.rejects(readListenRecord(paths), { code: 'EINVAL', message });
});
