/** One large file: written through A, read through B, in sequence and at random places. */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { forgetPages, microsEach, sequence, timedMs } from './clock.mjs';

const MIB = 1024 ** 2;
const FILE_MIB = 256;
const PAGE = 4_096;
const RANDOM_READS = 1_000;
const RATE = 'MiB/s';

/** A MiB that is like no other. */
function block(at) {
  const bytes = Buffer.alloc(MIB, `block ${at} of the file\n`);
  for (let page = 0; page < MIB; page += PAGE)
    bytes.writeUInt32LE(at * (MIB / PAGE) + page / PAGE, page);
  return bytes;
}

function withFile(path, flags, work) {
  const fd = openSync(path, flags);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

function readFull(fd, target, position) {
  let done = 0;
  while (done < target.length) {
    const bytes = readSync(fd, target, done, target.length - done, position + done);
    if (bytes === 0) throw new Error(`the file ends at ${position + done}`);
    done += bytes;
  }
}

export function largeFile({ a, b, scale }) {
  const count = Math.max(4, Math.round(FILE_MIB * scale));
  const blocks = Array.from({ length: count }, (_, at) => block(at));
  const [onA, onB] = [join(a, 'large'), join(b, 'large')];
  const target = Buffer.alloc(MIB);
  const rate = (work) => (count * 1000) / timedMs(work);

  const write = (path) =>
    withFile(path, 'w', (fd) => {
      for (const bytes of blocks) writeSync(fd, bytes);
      fsyncSync(fd);
    });
  const read = () =>
    withFile(onB, 'r', (fd) => {
      for (const [at, bytes] of blocks.entries()) {
        readFull(fd, target, at * MIB);
        if (!target.equals(bytes)) throw new Error(`${onB} holds other bytes in MiB ${at}`);
      }
    });
  const pages = [...sequence((count * MIB) / PAGE, RANDOM_READS)];
  const page = target.subarray(0, PAGE);
  const readPages = () =>
    withFile(`${onB}2`, 'r', (fd) =>
      microsEach(pages, (at) => {
        readFull(fd, page, at * PAGE);
        if (page.readUInt32LE() !== at) throw new Error(`${onB}2 holds other bytes in page ${at}`);
      }),
    );
  const written = `write ${count} MiB and fsync`;
  return [
    { name: written, unit: RATE, isRate: true, run: () => rate(() => write(onA)) },
    {
      name: 'read them on the other side',
      unit: RATE,
      isRate: true,
      prepare: () => forgetPages([onA]),
      run: () => rate(read),
    },
    { name: 'read them there again', unit: RATE, isRate: true, run: () => rate(read) },
    {
      name: `${RANDOM_READS} random reads of 4 KiB`,
      unit: 'us/read',
      prepare: () => {
        write(`${onA}2`);
        forgetPages([`${onA}2`]);
      },
      run: readPages,
    },
    { name: 'the same reads again', unit: 'us/read', run: readPages },
  ];
}
