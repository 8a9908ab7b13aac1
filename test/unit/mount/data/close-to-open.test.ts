import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TwoWorlds } from '../../../support/two-worlds.ts';

async function worldsFor(t: TestContext, options: { waitMs?: number } = {}): Promise<TwoWorlds> {
  const worlds = await TwoWorlds.create(options);
  t.after(() => worlds.close());
  return worlds;
}

for (const [writer, reader] of [
  ['one', 'two'],
  ['two', 'one'],
] as const) {
  for (const home of [writer, reader]) {
    test(`what ${writer} closed, ${reader} opens: the home is ${home}`, async (t) => {
      const worlds = await worldsFor(t);
      await worlds.node(home).put('file', 'before');
      assert.equal((await worlds.node(reader).get('file')).toString(), 'before');
      const { fh } = await worlds.node(writer).open('file');
      await worlds.node(writer).write(fh, 3, 'after that');
      await worlds.node(writer).shut(fh);
      assert.equal((await worlds.node(reader).get('file')).toString(), 'befafter that');
      assert.equal((await worlds.node(writer).get('file')).toString(), 'befafter that');
    });
  }
}
