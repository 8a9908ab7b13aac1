import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basicsSuite } from '../support/basics-suite.ts';
import { DfsUnderTest } from '../support/dfs.ts';

basicsSuite('the same holds with what Linux 6.1 offers', '6.1');

test('status names what a masked kernel lacks', async (t) => {
  const dfs = await DfsUnderTest.create(t, { DFS_FUSE_MASK: '6.1' });
  await dfs.mount();
  const [mount] = (await dfs.status()).mounts;
  assert.equal(mount?.fuseMinor, 37);
  assert.deepEqual(mount?.kernelLacks, ['DIRECT_IO_ALLOW_MMAP', 'PASSTHROUGH', 'HAS_RESEND']);
});

test('a capability nobody knows is refused before anything is mounted', async (t) => {
  const dfs = await DfsUnderTest.create(t, { DFS_FUSE_MASK: 'TELEPATHY' });
  const output = await dfs.cli(['mount', dfs.mountpoint]);
  assert.equal(output.code, 1);
  assert.match(output.stderr, /TELEPATHY/);
});
