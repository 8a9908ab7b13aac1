/** Copies of compiled classes, with a line of them changed: nothing of it is in what is shipped. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type Change = readonly [before: string, after: string];

/** Of a module below the compiled sources. */
export function compiled(path: string): URL {
  return new URL(`../../src/${path}`, import.meta.url);
}

/** The address of a copy with some lines changed. White space does not matter. */
export function copyOf(url: URL, changes: readonly Change[]): string {
  let source = readFileSync(fileURLToPath(url), 'utf8').replace(/\s+\/\/.*$/gm, '');
  source = source.replace(/\s+/g, ' ');
  source = source.replace(/from '(\.[^']+)'/g, (_, path: string) => `from '${new URL(path, url)}'`);
  for (const [before, after] of changes) {
    assert.equal(source.split(before).length, 2, `not found once in ${url.pathname}: ${before}`);
    source = source.replace(before, () => after);
  }
  // It may be imported by another copy.
  return `data:text/javascript,${encodeURIComponent(source).replaceAll("'", '%27')}`;
}

/** Another module stands in for the one that was imported. */
export function instead(of: URL, by: URL | string): Change {
  return [`from '${of}'`, `from '${by}'`];
}
