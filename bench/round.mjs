/**
 * Every workload once: `round.mjs JSON`, with {a, b, scratch, scale}: two views of one folder,
 * a folder on local disk, and the share of the full size. Prints a line of JSON for each figure,
 * as soon as it is known: whoever started this may end it when a mount hangs.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { largeFile } from './large-file.mjs';
import { sharedWrites } from './shared-writes.mjs';
import { smallFiles } from './small-files.mjs';
import { sourceTree } from './source-tree.mjs';
import { visibility } from './visibility.mjs';

const SUITES = { smallFiles, largeFile, sourceTree, sharedWrites, visibility };

function say(figure) {
  process.stdout.write(`${JSON.stringify(figure)}\n`);
}

function runSuite(suite, places) {
  for (const { name, unit, isRate = false, prepare, run } of SUITES[suite](places)) {
    const figure = { suite, name, unit, isRate };
    try {
      prepare?.();
      say({ ...figure, value: run() });
    } catch (error) {
      // What follows in this suite stands on it.
      say({ ...figure, error: String(error) });
      return;
    }
  }
}

const places = JSON.parse(process.argv[2]);
mkdirSync(places.a);
for (const suite of Object.keys(SUITES)) runSuite(suite, places);
rmSync(places.a, { recursive: true });
