/**
 * The state folder of one node: made once, whole, and refused whenever it is not exactly that.
 *
 * Founding writes a marker first and format.json last. A folder with the marker and no
 * format.json is a founding that was interrupted: it holds nothing yet and is made anew. Any
 * other content without format.json belongs to somebody else and is never touched.
 */
import type { Dirent } from 'node:fs';
import { access, chmod, lstat, mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CONFIG_FILE, type ConfigChanges, changeConfig } from './config.ts';
import { syncDirectory, writeFileDurably } from './durable-file.ts';
import { FsError, systemCode, toFsError } from './errno.ts';
import {
  decodeStateFormat,
  encodeStateFormat,
  type NodeRole,
  type StateFormat,
} from './state-format.ts';
import { type StatePaths, statePaths } from './state-paths.ts';

export interface LoadedState extends StateFormat {
  /** Absolute. */
  readonly dir: string;
  readonly paths: StatePaths;
}

/** An empty folder: made and removed in one step each. */
const FOUNDING_MARKER = '.dfs-founding';

/** Readable by others: run/ alone, for the status socket. meta/, index/ and data/ are their owners'. */
const FOLDER_MODES: readonly (readonly [string, number])[] = [
  ['run', 0o755],
  ['wal', 0o700],
  ['writeback', 0o700],
  ['lost+found', 0o700],
  ['log', 0o700],
];

/** Besides those, what a founding leaves when it is cut short. */
const LEFTOVERS = ['meta', 'meta.new', 'reserve', 'index', 'index.new', 'data', 'config.json.new'];

/** What must be there for a role; run/ and log/ hold nothing worth refusing for. */
const PARTS: Readonly<Record<NodeRole, readonly string[]>> = {
  metaserver: ['meta'],
  peer: ['index', 'data'],
  mount: ['writeback'],
};

export interface CreateStateOptions extends StateFormat {
  /** Absolute. */
  readonly dir: string;
  /** What config.json holds from the first day. */
  readonly config: ConfigChanges;
  /** Fills the folders; what it leaves behind when it fails is cleared by the next attempt. */
  populate(): Promise<void>;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw toFsError(error, `cannot look at ${path}`);
  }
}

async function listFolder(dir: string): Promise<Dirent[]> {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') {
      throw new FsError('ENOTDIR', `${dir} is not a folder: choose another one with --state`);
    }
    throw toFsError(error, `cannot read the state folder ${dir}`);
  }
}

/** The entries that matter: a fresh disk brings an empty lost+found of its own. */
async function listContent(dir: string): Promise<Dirent[]> {
  const entries = await listFolder(dir);
  const fresh = entries.length === 1 && entries[0]?.name === 'lost+found';
  return fresh && (await listFolder(join(dir, 'lost+found'))).length === 0 ? [] : entries;
}

/** Makes sure that nothing of anybody else lies there. */
async function clearForFounding(dir: string): Promise<void> {
  const entries = await listContent(dir);
  if (entries.some((entry) => entry.name === 'format.json')) {
    throw new FsError('EEXIST', `${dir} is a dfs state folder already`);
  }
  const folders = FOLDER_MODES.map(([name]) => name);
  const ours = new Set([...folders, ...LEFTOVERS, FOUNDING_MARKER, CONFIG_FILE]);
  const cut = entries.some((entry) => entry.name === FOUNDING_MARKER && entry.isDirectory());
  if (entries.length > 0 && !(cut && entries.every((entry) => ours.has(entry.name)))) {
    throw new FsError(
      'ENOTEMPTY',
      `${dir} is not empty and not a dfs state folder: choose another one with --state`,
    );
  }
  for (const entry of entries) {
    if (entry.name !== FOUNDING_MARKER) await rm(join(dir, entry.name), { recursive: true });
  }
}

/** Makes the folder itself; an existing one stays as it is. */
export async function makeStateDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o755 });
  } catch (error) {
    if (systemCode(error) === 'EEXIST' || systemCode(error) === 'ENOTDIR') {
      throw new FsError('ENOTDIR', `${dir} is not a folder: choose another one with --state`);
    }
    throw toFsError(error, `cannot make the state folder ${dir}`);
  }
}

/**
 * Founds a state folder in a missing or empty folder. The caller holds the start lock.
 * @throws FsError ENOTEMPTY something else lies there · EEXIST it is one already
 */
export async function createState(options: CreateStateOptions): Promise<LoadedState> {
  const { dir } = options;
  await makeStateDir(dir);
  await clearForFounding(dir);
  await chmod(dir, 0o755);
  await mkdir(join(dir, FOUNDING_MARKER), { recursive: true, mode: 0o700 });
  await syncDirectory(dir);
  for (const [name, mode] of FOLDER_MODES) {
    await mkdir(join(dir, name), { mode, recursive: true });
    await chmod(join(dir, name), mode);
  }
  const config = join(dir, CONFIG_FILE);
  await writeFileDurably(config, changeConfig('{}', options.config, config), { mode: 0o600 });
  await options.populate();
  await writeFileDurably(join(dir, 'format.json'), encodeStateFormat(options), { mode: 0o644 });
  await chmod(join(dir, 'format.json'), 0o644);
  await rmdir(join(dir, FOUNDING_MARKER));
  await syncDirectory(dir);
  return loadState(dir);
}

/** Whether there is a state folder at `dir`, sound or not. */
export function hasState(dir: string): Promise<boolean> {
  return exists(join(dir, 'format.json'));
}

/**
 * Reads a state folder; creates nothing.
 * @throws FsError with a sentence: not there, damaged, newer, another program's, a part missing
 */
export async function loadState(dir: string): Promise<LoadedState> {
  const paths = statePaths(dir);
  let source: string;
  try {
    source = await readFile(paths.format, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new FsError(
        'ENOENT',
        `${dir} is not a dfs state folder: \`dfs mount MOUNTPOINT\` makes one, --state names another`,
      );
    }
    throw toFsError(error, `cannot read ${paths.format}`);
  }
  const format = decodeStateFormat(source, paths.format);
  for (const part of format.roles.flatMap((role) => PARTS[role])) {
    if (await exists(join(dir, part))) continue;
    throw new FsError(
      'EINVAL',
      `${join(dir, part)} is missing: bring it back from a backup, or start afresh in another folder with --state`,
    );
  }
  return { ...format, dir, paths };
}

/**
 * Makes the folders that hold only what a running process needs: run/, log/ and the folder of
 * the sockets. @throws FsError EACCES when somebody else made the short runtime folder
 */
export async function prepareRuntime(paths: StatePaths): Promise<void> {
  await mkdir(paths.run, { recursive: true, mode: 0o755 });
  await mkdir(paths.log, { recursive: true, mode: 0o700 });
  if (paths.sockets === paths.run) return;
  await mkdir(paths.sockets, { recursive: true, mode: 0o711 });
  for (const folder of [paths.sockets, join(paths.sockets, '..')]) {
    const stat = await lstat(folder);
    if (stat.isDirectory() && stat.uid === process.getuid?.()) continue;
    throw new FsError('EACCES', `${folder} belongs to somebody else: use a shorter --state path`);
  }
  await chmod(paths.sockets, 0o711);
  await chmod(join(paths.sockets, '..'), 0o711);
}
