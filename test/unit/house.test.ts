/**
 * The rules of the house that no lint tool knows, each with its reason. The sources are read as
 * text: what an import says is all that is needed.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../../..');
const LINES_MAX = 500;

interface Import {
  readonly from: string;
  /** A path from the root of the repository, or a package. */
  readonly target: string;
  readonly typeOnly: boolean;
}

function filesUnder(folder: string, pattern: RegExp): string[] {
  const top = join(ROOT, folder);
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.includes('node_modules/'))
    .sort();
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Block comments and whole-line comments; what stands behind code stays. */
function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

const STATEMENT = /^(import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?['"]([^'"]+)['"]/gm;
const CALL = /\b(?:import|require|require\.resolve)\(\s*['"]([^'"]+)['"]\s*\)/g;

function importsOf(from: string): Import[] {
  const source = withoutComments(read(from));
  const place = (target: string): string =>
    target.startsWith('.') ? normalize(join(dirname(from), target)) : target;
  const statements = [...source.matchAll(STATEMENT)].map(([, , type, target = '']) => ({
    from,
    target: place(target),
    typeOnly: type !== undefined,
  }));
  const calls = [...source.matchAll(CALL)].map(([, target = '']) => ({
    from,
    target: place(target),
    typeOnly: false,
  }));
  return [...statements, ...calls];
}

const SOURCES = [...filesUnder('src', /\.ts$/), ...filesUnder('native', /\.ts$/)];
const TESTS = filesUnder('test', /\.ts$/);
const BENCH = filesUnder('bench', /\.(sh|mjs)$/);
const IMPORTS = SOURCES.flatMap(importsOf);

const shown = ({ from, target }: Import): string => `${from} -> ${target}`;

function assertNone(found: readonly string[], reason: string): void {
  assert.deepEqual(found, [], reason);
}

interface Layer {
  readonly of: RegExp;
  readonly allows: RegExp;
  readonly reason: string;
}

const GENERATED = 'gen/';
const LAYERS: readonly Layer[] = [
  {
    of: /^src\/common\//,
    allows: /^(src\/common\/|native\/index\.ts$)/,
    reason: 'common is the ground floor; the wire code is for common/rpc only',
  },
  {
    of: /^src\/metaserver\//,
    allows: /^(src\/metaserver\/|src\/common\/|gen\/|native\/index\.ts$)/,
    reason: 'the metaserver runs alone on another machine: no mount, no peer',
  },
  {
    of: /^src\/peer\//,
    allows: /^(src\/peer\/|src\/common\/|gen\/|native\/index\.ts$)/,
    reason: 'a peer serves bytes: it knows neither mounts nor the namespace',
  },
  {
    of: /^src\/mount\//,
    allows: /^(src\/mount\/|src\/peer\/|src\/common\/|gen\/|native\/index\.ts$)/,
    reason: 'a mount reaches the metaserver over its session only',
  },
  {
    of: /^native\//,
    allows: /^native\//,
    reason: 'the addon is mechanism only',
  },
];

/** Front ends reach the parts through these; types may come from deeper. */
const FRONT_END_DOORS = new Set([
  'src/metaserver/node.ts',
  'src/peer/node.ts',
  'src/mount/node.ts',
  'src/mount/driver/fuse-native/load.ts',
  'src/mount/driver/native/capabilities.ts',
]);

function isLocal(target: string): boolean {
  return /^(src|native|gen|test)\//.test(target);
}

test('imports point downwards', () => {
  for (const { of, allows, reason } of LAYERS) {
    const wrong = IMPORTS.filter(({ from, target }) => {
      if (!of.test(from) || !isLocal(target) || allows.test(target)) return false;
      return !(from.startsWith('src/common/rpc/') && target.startsWith(GENERATED));
    });
    assertNone(wrong.map(shown), reason);
  }
});

test('front ends use the doors of the parts', () => {
  const wrong = IMPORTS.filter(
    ({ from, target, typeOnly }) =>
      /^src\/(cli|http|client)\//.test(from) &&
      /^src\/(mount|metaserver|peer)\//.test(target) &&
      !typeOnly &&
      !FRONT_END_DOORS.has(target),
  );
  assertNone(wrong.map(shown), 'front ends import node.ts of a part, or its types');
});

interface Home {
  readonly target: RegExp;
  readonly allows: RegExp;
}

const HOMES: readonly Home[] = [
  { target: /^fuse-native$/, allows: /^src\/mount\/driver\/fuse-native\// },
  {
    target: /^(level|classic-level|abstract-level)$/,
    allows: /^src\/(metaserver\/level-kv|peer\/level-index)\.ts$/,
  },
  { target: /^@grpc\/grpc-js$/, allows: /^src\/(common\/rpc\/|.*-(service|client|stream)\.ts$)/ },
  { target: /^commander$/, allows: /^src\/cli\// },
  {
    target: /^native\/index\.ts$/,
    allows:
      /^src\/(common\/(system-clock|state-lock)\.ts$|peer\/|metaserver\/(space-guard|reserve|node)\.ts$|mount\/driver\/native\/|mount\/[^/]*mount[^/]*\.ts$|cli\/(mountpoint|force-unmount)\.ts$)/,
  },
];

test('each foreign package is imported in its own place', () => {
  for (const { target, allows } of HOMES) {
    const wrong = IMPORTS.filter((each) => target.test(each.target) && !allows.test(each.from));
    assertNone(wrong.map(shown), `only ${allows} may import ${target}`);
  }
});

test('only the loader names the .node file', () => {
  const wrong = SOURCES.filter(
    (path) => path !== 'native/index.ts' && /\.node['"`]/.test(withoutComments(read(path))),
  );
  assertNone(wrong, 'native/index.ts is the only importer of the addon');
});

const IMPURE: readonly (readonly [RegExp, string])[] = [
  [/\basync\b|\bawait\b|\bPromise\b/, 'core is synchronous'],
  [/\bDate\b|\bperformance\b/, 'time is passed in'],
  [/Math\.random|randomInt|randomBytes/, 'randomness is passed in'],
  [/\bset(Timeout|Interval|Immediate)\b|queueMicrotask/, 'deadlines are returned as effects'],
  [/\bprocess\b\./, 'configuration is passed in'],
  [/['"]node:/, 'core would run in a browser'],
];

/** Below core: words that everybody shares, and nothing that acts. */
const CORE_ALLOWS =
  /^src\/(common\/(errno|ids|attr|assert|name|lease|cluster-map)\.ts$|[^/]+\/core\/|peer\/chunk-store\.ts$)/;

test('core folders are pure', () => {
  const core = SOURCES.filter((path) => /^src\/.*\/core\//.test(path));
  assert.notEqual(core.length, 0);
  for (const [pattern, reason] of IMPURE) {
    const wrong = core.filter((path) => pattern.test(withoutComments(read(path))));
    assertNone(wrong, reason);
  }
  const wrong = IMPORTS.filter(
    ({ from, target, typeOnly }) =>
      core.includes(from) && !typeOnly && !CORE_ALLOWS.test(target) && isLocal(target),
  );
  assertNone(wrong.map(shown), 'core imports core and the common words only');
});

test('no file is longer than a reader can hold', () => {
  const native = filesUnder('native', /\.(cc|h)$/);
  const long = [...SOURCES, ...TESTS, ...BENCH, ...native].filter(
    (path) => read(path).split('\n').length > LINES_MAX + 1,
  );
  assertNone(long, `at most ${LINES_MAX} lines; is there a second thing in it?`);
});

/** Helper programs are started by their compiled name: `'crash-writer.js'`, `workload/run.js`. */
function programs(): string[] {
  const places = [...TESTS, ...filesUnder('scripts', /\.(sh|mjs)$/)];
  const texts = places.map((path) => ({ path, text: read(path) }));
  return TESTS.filter((path) => {
    const own = `/${path.replace(/\.ts$/, '.js')}`.split('/');
    // A common name counts only together with its folder.
    const names = [own.slice(-2).join('/'), `./${own.at(-1)}`, `'${own.at(-1)}'`];
    return texts.some((each) => {
      const near = dirname(each.path) === dirname(path);
      return (
        each.path !== path &&
        names.some((name, at) => (at === 0 || near) && each.text.includes(name))
      );
    });
  });
}

test('every source file is reached from an entry', () => {
  const all = new Map([...SOURCES, ...TESTS].map((path) => [path, importsOf(path)]));
  const reached = new Set<string>();
  const tests = TESTS.filter((path) => path.endsWith('.test.ts'));
  const queue = ['src/cli/main.ts', ...tests, ...programs()];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    queue.push(...(all.get(path) ?? []).map(({ target }) => target));
  }
  assertNone(
    [...all.keys()].filter((path) => !reached.has(path)),
    'a file that nobody imports is dead',
  );
});

test('every file of the benchmark is used', () => {
  const texts = [...BENCH, 'docs/BENCH.md'].map((path) => ({ path, text: read(path) }));
  const unused = BENCH.filter(
    (own) => !texts.some(({ path, text }) => path !== own && text.includes(basename(own))),
  );
  assertNone(unused, 'a file that nobody runs or imports is dead');
});

test('no promise is left in the code', () => {
  const marks = new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X'].join(''));
  const files = [
    ...SOURCES,
    ...TESTS,
    ...filesUnder('native', /\.(cc|h)$/),
    ...filesUnder('proto', /\.proto$/),
    ...filesUnder('scripts', /\.(sh|mjs)$/),
    ...BENCH,
  ];
  const wrong = files.filter((path) => new RegExp(`\\b(${marks.source})\\b`).test(read(path)));
  assertNone(wrong, 'finish it, or write it where plans are kept');
});

const DOCUMENTS = ['README.md', ...filesUnder('docs', /\.md$/)].filter((path) =>
  existsSync(join(ROOT, path)),
);

test('every file that a document names is there', () => {
  const wrong: string[] = [];
  for (const document of DOCUMENTS) {
    const text = read(document);
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, path = '']) =>
      normalize(join(dirname(document), path)),
    );
    const named = [
      ...text.matchAll(/`((?:src|native|scripts|bench|test|proto|docs|tools)\/[\w./-]+)`/g),
    ];
    const paths = [...links, ...named.map(([, path = '']) => normalize(path))];
    wrong.push(
      ...paths
        .filter((path) => !existsSync(join(ROOT, path)))
        .map((path) => `${document}: ${path}`),
    );
  }
  assertNone(wrong, 'a document that names what is not there misleads');
});

test('nothing refers to what lies outside the repository', () => {
  const outside = ['..', 'shared'].join('/');
  const files = [
    ...SOURCES,
    ...TESTS,
    ...DOCUMENTS,
    ...filesUnder('scripts', /./),
    ...BENCH,
    ...filesUnder('native', /\.(cc|h)$/),
    ...filesUnder('proto', /\.proto$/),
  ];
  // A relative import of a sibling called shared.ts is another matter.
  const mention = new RegExp(`${outside.replaceAll('.', '\\.')}(?!\\.[jt]s|[\\w-])`);
  assertNone(
    files.filter((path) => mention.test(read(path))),
    'a clone has only itself',
  );
});
