import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fsckText, fsckVerdict } from '../../../src/cli/fsck-text.ts';
import type { FsckReport } from '../../../src/common/core/fsck-report.ts';

const SOUND: FsckReport = {
  clean: true,
  namespace: { inodes: 12, names: 1, openers: 2, reclaimPending: 0, counts: {}, findings: [] },
  backing: { machine: 'nas', files: 8, strays: 0, strayBytes: 0, strayInos: [] },
};

test('a sound namespace is told in two lines', () => {
  assert.equal(
    fsckText(SOUND),
    [
      'namespace  12 inodes, 1 name, 2 open without a name, 0 to be deleted: nothing is wrong',
      'backing    8 files on "nas", all of them wanted',
    ].join('\n'),
  );
});

test('what is wrong is told with code, inode and name, and how much more there is', () => {
  const report: FsckReport = {
    clean: false,
    namespace: {
      ...SOUND.namespace,
      counts: { 'missing-inode': 2, 'wrong-counter': 3 },
      findings: [
        { code: 'missing-inode', ino: 1026, dir: 1025, name: 'a "b"', message: 'it is not there' },
        {
          code: 'missing-inode',
          ino: 1027,
          dir: 1,
          name: { b64: '/w==' },
          message: 'it is not there',
        },
        { code: 'wrong-counter', ino: 0, dir: 0, name: '', message: 'it says 1, there are 2' },
      ],
    },
    backing: { machine: 'nas', files: 8, strays: 3, strayBytes: 2 ** 20, strayInos: [5, 6] },
  };
  assert.deepEqual(fsckText(report).split('\n').slice(1), [
    '  missing-inode    inode 1026: it is not there ("a \\"b\\"" in directory 1025)',
    '  missing-inode    inode 1027: it is not there (base64 /w== in directory 1)',
    '  wrong-counter    it says 1, there are 2',
    '  and 2 more',
    'backing    8 files on "nas", 3 of them for nothing: 1.0 MiB',
    '  inodes that are not there: 5, 6 and more',
  ]);
  assert.match(fsckText(report), /0 to be deleted: 5 wrong\n/);
  assert.equal(
    fsckVerdict(report),
    'something is wrong with 5 things in the namespace and 3 backing files on "nas"; nothing was changed',
  );
});
