/**
 * One machine changes something, another one looks at once, by name: what it sees must be the
 * change, the first time. Arguments: two mountpoints, the number of looks. Prints one line of JSON.
 */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const [one = '', two = '', wanted = '100'] = process.argv.slice(2);
const LOOKS = Number(wanted);

/** Changes by the first mountpoint, looked at through the second; each says whether it was seen. */
type Look = (changer: string, looker: string, round: number) => boolean;

const at = (dir: string, name: string): string => join(dir, name);

const CASES: Readonly<Record<string, Look>> = {
  'append, close, stat': (changer, looker) => {
    const before = existsSync(at(looker, 'log')) ? statSync(at(looker, 'log')).size : 0;
    appendFileSync(at(changer, 'log'), 'line\n');
    return statSync(at(looker, 'log')).size === before + 5;
  },
  'delete, create again': (changer, looker, round) => {
    rmSync(at(changer, 'again'), { force: true });
    if (existsSync(at(looker, 'again'))) return false;
    writeFileSync(at(changer, 'again'), `round ${round}`);
    return readFileSync(at(looker, 'again'), 'latin1') === `round ${round}`;
  },
  truncate: (changer, looker, round) => {
    writeFileSync(at(changer, 'cut'), 'x'.repeat(5_000 + round));
    if (statSync(at(looker, 'cut')).size !== 5_000 + round) return false;
    truncateSync(at(changer, 'cut'), round % 100);
    const seen = readFileSync(at(looker, 'cut'));
    return seen.length === round % 100 && seen.every((byte) => byte === 120);
  },
  'rename over': (changer, looker, round) => {
    writeFileSync(at(changer, 'saved.new'), `saved ${round}`);
    renameSync(at(changer, 'saved.new'), at(changer, 'saved'));
    const seen = readFileSync(at(looker, 'saved'), 'latin1');
    return seen === `saved ${round}` && !existsSync(at(looker, 'saved.new'));
  },
  'absent, then created': (changer, looker, round) => {
    const name = `new-${round}`;
    if (existsSync(at(looker, name))) return false;
    writeFileSync(at(changer, name), '');
    const seen = existsSync(at(looker, name));
    rmSync(at(changer, name));
    return seen && !existsSync(at(looker, name));
  },
  'directories and their listings': (changer, looker, round) => {
    const dir = `dir-${round}`;
    mkdirSync(at(changer, dir));
    writeFileSync(join(changer, dir, 'child'), 'x');
    const seen = readdirSync(at(looker, dir)).join() === 'child';
    rmSync(join(changer, dir, 'child'));
    const empty = readdirSync(at(looker, dir)).length === 0;
    rmdirSync(at(changer, dir));
    return seen && empty && !existsSync(at(looker, dir));
  },
  'mode, links, symlinks': (changer, looker, round) => {
    const mode = 0o600 + (round % 8);
    writeFileSync(at(changer, 'modes'), '');
    chmodSync(at(changer, 'modes'), mode);
    if ((statSync(at(looker, 'modes')).mode & 0o777) !== mode) return false;
    linkSync(at(changer, 'modes'), at(changer, 'linked'));
    const links = statSync(at(looker, 'modes')).nlink;
    rmSync(at(changer, 'linked'));
    symlinkSync(`to-${round}`, at(changer, 'symlink'));
    const target = readlinkSync(at(looker, 'symlink'));
    rmSync(at(changer, 'symlink'));
    return links === 2 && statSync(at(looker, 'modes')).nlink === 1 && target === `to-${round}`;
  },
  'same size, other bytes': (changer, looker, round) => {
    const text = String(round).padStart(70_000, '.');
    writeFileSync(at(changer, 'bytes'), text, { flag: round < 2 ? 'w' : 'r+' });
    return readFileSync(at(looker, 'bytes'), 'latin1') === text;
  },
};

const stale: Record<string, number> = {};
const cases = Object.entries(CASES);
for (let look = 0; look < LOOKS; look += 1) {
  const [name, see] = cases[look % cases.length] ?? ['', () => true];
  const round = Math.floor(look / cases.length);
  // In turn, so that each has seen, and remembers, what the other one changes next.
  const [changer, looker] = round % 2 === 0 ? [one, two] : [two, one];
  if (!see(changer, looker, round)) stale[name] = (stale[name] ?? 0) + 1;
}
process.stdout.write(`${JSON.stringify({ looks: LOOKS, stale })}\n`);
