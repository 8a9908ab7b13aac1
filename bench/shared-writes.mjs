/**
 * Files that are written piece by piece: records appended on A while B looks, and by both in turn;
 * and a database, whose every commit waits for the disk.
 */
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { hasProgram, microsEach, run, sequence } from './clock.mjs';

const RECORD = Buffer.alloc(128, 'a record of a log\n');
const APPENDS = 2_000;
const LOOKS = 300;
const COMMITS = 100;
const READ_BACKS = 30;

/** Prints milliseconds a commit; of the reader, milliseconds for each row it reads there. */
const DATABASE = `
import sqlite3, sys, time
here, there, commits, reads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
db = sqlite3.connect(here, isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS t (at INTEGER PRIMARY KEY, text TEXT)")
(before,) = db.execute("SELECT count(*) FROM t").fetchone()
began = time.perf_counter()
for at in range(commits):
    db.execute("INSERT INTO t (text) VALUES (?)", ("x" * 100,))
    if at < reads:
        other = sqlite3.connect(there)
        (found,) = other.execute("SELECT count(*) FROM t").fetchone()
        assert found == before + at + 1, f"{found} rows are there instead of {before + at + 1}"
        other.close()
print((time.perf_counter() - began) * 1000 / commits)
`;

/** Prints microseconds an append. */
const APPENDER = `
const { openSync, writeSync } = require('node:fs');
const [path, count] = process.argv.slice(1);
const fd = openSync(path, 'a');
const record = Buffer.alloc(${RECORD.length}, 'a record of a log\\n');
const began = process.hrtime.bigint();
for (let at = 0; at < Number(count); at += 1) writeSync(fd, record);
console.log(Number(process.hrtime.bigint() - began) / 1000 / Number(count));
`;

/** @returns microseconds for each of all appends that programs made at the same time */
function appendingAtOnce(paths, count) {
  const one = '"$0" -e "$1" "$PATH_OF" "$2" &';
  const script = `${paths.map((_, at) => `PATH_OF=$${at + 3}; ${one}`).join(' ')} wait`;
  const args = ['-c', script, process.execPath, APPENDER, String(count), ...paths];
  const each = run('sh', args).trim().split('\n').map(Number);
  return Math.max(...each) / paths.length;
}

const wholes = (count) => [...sequence(1, count)];

function appending(paths, work) {
  const fds = paths.map((path) => openSync(path, 'a'));
  try {
    return work(fds);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function expectSize(path, wanted) {
  const { size } = statSync(path);
  if (size !== wanted) throw new Error(`${path} has ${size} bytes instead of ${wanted}`);
}

export function sharedWrites({ a, b, scale }) {
  const [onA, onB] = [join(a, 'log'), join(b, 'log')];
  const scaled = (count) => Math.max(5, Math.round(count * scale));
  let size = 0;
  const append = (fd) => {
    writeSync(fd, RECORD);
    size += RECORD.length;
  };
  const database = (commits, reads) => () => {
    const args = [join(a, 'db'), join(b, 'db'), String(commits), String(reads)];
    return Number(run('python3', ['-c', DATABASE, ...args]));
  };
  return [
    {
      name: 'append 128 bytes',
      unit: 'us/append',
      run: () => appending([onA], ([fd]) => microsEach(wholes(scaled(APPENDS)), () => append(fd))),
    },
    {
      name: 'append, and look at the size on the other side',
      unit: 'us/append',
      run: () =>
        appending([onA], ([fd]) =>
          microsEach(wholes(scaled(LOOKS)), () => {
            append(fd);
            expectSize(onB, size);
          }),
        ),
    },
    {
      name: 'append on both sides in turn',
      unit: 'us/append',
      run: () =>
        appending(
          [onA, onB],
          (fds) =>
            microsEach(wholes(scaled(LOOKS)), () => {
              for (const fd of fds) append(fd);
            }) / 2,
        ),
    },
    {
      name: 'append on both sides at once',
      unit: 'us/append',
      run: () => {
        const count = scaled(APPENDS);
        size += 2 * count * RECORD.length;
        return appendingAtOnce([onA, onB], count);
      },
    },
    {
      name: 'append and fsync',
      unit: 'us/append',
      run: () =>
        appending([onA], ([fd]) =>
          microsEach(wholes(scaled(LOOKS)), () => {
            append(fd);
            fsyncSync(fd);
          }),
        ),
    },
    {
      name: 'the whole log on the other side',
      unit: 'us',
      run: () =>
        microsEach([onB], () => {
          if (readFileSync(onB).length !== size) throw new Error('the log is not whole');
        }),
    },
    ...(hasProgram('python3')
      ? [
          {
            name: 'sqlite: insert a row and commit',
            unit: 'ms/commit',
            run: database(scaled(COMMITS), 0),
          },
          {
            name: 'sqlite: commit here, open and count there',
            unit: 'ms/commit',
            run: database(scaled(READ_BACKS), scaled(READ_BACKS)),
          },
        ]
      : []),
  ];
}
