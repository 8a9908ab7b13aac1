/** A tree of sources: unpacked, put under git, cloned and deleted, all through A. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasProgram, run, sequence, timedMs } from './clock.mjs';

const FILES = 400;
const FOLDERS = 40;
const UNIT = 'ms';

const GIT_ENV = {
  PATH: process.env.PATH,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'bench',
  GIT_AUTHOR_EMAIL: 'bench@localhost',
  GIT_COMMITTER_NAME: 'bench',
  GIT_COMMITTER_EMAIL: 'bench@localhost',
};

/** An archive on local disk, the same in every run. */
function makeArchive(scratch, count) {
  const top = join(scratch, 'tree');
  for (let at = 0; at < FOLDERS; at += 1)
    mkdirSync(join(top, `d${at % 8}/d${at}`), { recursive: true });
  let number = 0;
  for (const size of sequence(16_384, count)) {
    const folder = number % FOLDERS;
    const text = `line of source ${number}\n`;
    writeFileSync(
      join(top, `d${folder % 8}/d${folder}/f${number}.c`),
      Buffer.alloc(size + 1, text),
    );
    number += 1;
  }
  run('tar', ['-C', scratch, '-cf', join(scratch, 'tree.tar'), 'tree']);
}

export function sourceTree({ a, scratch, scale }) {
  const count = Math.max(FOLDERS, Math.round(FILES * scale));
  const top = join(a, 'tree');
  const git = (cwd, ...args) => run('git', args, { cwd, env: { ...GIT_ENV, HOME: scratch } });
  const took = (work) => () => timedMs(work);
  const withGit = [
    {
      name: 'git add and commit them',
      unit: UNIT,
      run: took(() => {
        git(top, 'init', '-q', '.');
        git(top, '-c', 'gc.auto=0', 'add', '-A');
        git(top, '-c', 'gc.auto=0', 'commit', '-q', '-m', 'one');
      }),
    },
    { name: 'git status', unit: UNIT, run: took(() => git(top, 'status', '--porcelain')) },
    {
      name: 'git clone',
      unit: UNIT,
      run: took(() => git(a, 'clone', '-q', '--no-hardlinks', 'tree', 'clone')),
    },
  ];
  return [
    {
      name: `untar ${count} files`,
      unit: UNIT,
      prepare: () => makeArchive(scratch, count),
      run: took(() => run('tar', ['-C', a, '-xf', join(scratch, 'tree.tar')])),
    },
    ...(hasProgram('git') ? withGit : []),
    { name: 'rm -r the tree', unit: UNIT, run: took(() => run('rm', ['-r', '-f', top])) },
  ];
}
