/** The product with one line less, to see that a test notices. */
import assert from 'node:assert/strict';
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { DfsUnderTest } from './dfs.ts';

const CHECKOUT = resolve(import.meta.dirname, '../../..');

export interface Mutation {
  readonly name: string;
  /** Compiled, from `dist/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A copy of the compiled program with `from` replaced by `to` in one file. @returns its path */
export async function mutant(t: TestContext, change: Mutation): Promise<string> {
  const scratch = await DfsUnderTest.create(t);
  const copy = join(scratch.dir, 'copy');
  await cp(join(CHECKOUT, 'dist'), join(copy, 'dist'), { recursive: true });
  await cp(join(CHECKOUT, 'package.json'), join(copy, 'package.json'));
  for (const name of ['node_modules', 'build']) {
    await symlink(join(CHECKOUT, name), join(copy, name));
  }
  const path = join(copy, 'dist', change.file);
  const text = await readFile(path, 'utf8');
  assert.ok(text.includes(change.from), `${change.file} no longer has '${change.from}'`);
  await writeFile(path, text.replaceAll(change.from, change.to));
  return join(copy, 'dist/src/cli/main.js');
}
