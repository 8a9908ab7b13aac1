/** Many small files: made through A, looked at and read through B, renamed and deleted by A. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { forgetPages, microsEach } from './clock.mjs';

const FILES = 1_000;
const FILE_BYTES = 4_096;
const FOLDERS = 10;
const UNIT = 'us/file';

const content = (name) => Buffer.alloc(FILE_BYTES, `${name}\n`);

function read(path, name) {
  if (!readFileSync(path).equals(content(name))) throw new Error(`${path} holds other bytes`);
}

/** What `ls -lR` asks of the filesystem. */
function listAll(top, count) {
  let seen = 0;
  for (const folder of readdirSync(top)) {
    for (const name of readdirSync(join(top, folder))) {
      if (lstatSync(join(top, folder, name)).size === FILE_BYTES) seen += 1;
    }
  }
  if (seen !== count) throw new Error(`${top}: ${seen} of ${count} files are listed`);
}

export function smallFiles({ a, b, scale }) {
  const count = Math.max(FOLDERS, Math.round(FILES * scale));
  const names = Array.from({ length: count }, (_, at) => `f${at % FOLDERS}/file-${at}`);
  const listed = (top) => microsEach([top], () => listAll(top, count)) / count;
  const readAll = () => microsEach(names, (name) => read(join(b, 'small', name), name));
  const [onA, onB] = [join(a, 'small'), join(b, 'small')];
  return [
    {
      name: `create ${count} files of 4 KiB`,
      unit: UNIT,
      prepare: () => {
        for (let at = 0; at < FOLDERS; at += 1) mkdirSync(join(onA, `f${at}`), { recursive: true });
      },
      run: () => microsEach(names, (name) => writeFileSync(join(onA, name), content(name))),
    },
    { name: 'ls -lR where they were made', unit: UNIT, run: () => listed(onA) },
    { name: 'ls -lR on the other side', unit: UNIT, run: () => listed(onB) },
    { name: 'ls -lR there again', unit: UNIT, run: () => listed(onB) },
    {
      name: 'read them on the other side',
      unit: UNIT,
      prepare: () => forgetPages(names.map((name) => join(onA, name))),
      run: readAll,
    },
    { name: 'read them there again', unit: UNIT, run: readAll },
    {
      name: 'rename them',
      unit: UNIT,
      run: () => microsEach(names, (name) => renameSync(join(onA, name), join(onA, `${name}.new`))),
    },
    {
      name: 'delete them',
      unit: UNIT,
      run: () => microsEach(names, (name) => unlinkSync(join(onA, `${name}.new`))),
    },
  ];
}
