/** An edit on A, seen on B: what somebody waits for who saves here and looks there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timedMs } from './clock.mjs';

const EDITS = 50;
const WAIT_MS = 10_000;

const version = (number) => Buffer.alloc(4_096, `version ${number}\n`);

/** Looks until the new version is there. @returns how often it was not */
function look(path, wanted) {
  const end = Date.now() + WAIT_MS;
  for (let late = 0; ; late += 1) {
    if (readFileSync(path).equals(wanted)) return late;
    if (Date.now() > end) throw new Error(`an edit was not seen within ${WAIT_MS} ms`);
  }
}

export function visibility({ a, b, scale }) {
  const [onA, onB] = [join(a, 'edited'), join(b, 'edited')];
  const edits = Math.max(5, Math.round(EDITS * scale));
  let late = 0;
  return [
    {
      name: 'edit and close here, open and read there',
      unit: 'ms/edit',
      prepare: () => {
        writeFileSync(onA, version(0));
        look(onB, version(0));
      },
      run: () => {
        const ms = timedMs(() => {
          for (let number = 1; number <= edits; number += 1) {
            writeFileSync(onA, version(number));
            if (look(onB, version(number)) > 0) late += 1;
          }
        });
        return ms / edits;
      },
    },
    { name: 'edits that were seen late', unit: `of ${edits}`, run: () => late },
  ];
}
