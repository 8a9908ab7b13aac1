/**
 * The gits of one machine. Each command must succeed, and complain of nothing. Those that change
 * what others change too may be refused, in two ways only, which happen on a local disk as well:
 * somebody else was first, or holds the lock at this moment. Each is counted.
 */
import type { ClusterNode } from './cluster.ts';
import { run } from './dfs.ts';
import { GIT } from './sample-repository.ts';

export type Refusal = 'overtaken' | 'locked';

const GIT_MS = 120_000;
/** A machine that is refused more often in a row is kept out. */
const TRIES_MAX = 100;

const OVERTAKEN = [
  /^ ! \[rejected\] +\S+ -> \S+ \((fetch first|non-fast-forward)\)$/,
  /^ ! \[remote rejected\] \S+ -> \S+ \((failed to update ref|incorrect old value provided)\)$/,
  /^(remote: )?error: cannot lock ref '\S+': is at [0-9a-f]{40} but expected [0-9a-f]{40} *$/,
  /^error: failed to push some refs to '\S+'$/,
];
const LOCKED = [
  /^(remote: )?(error|fatal): (cannot lock ref '\S+': )?Unable to create '\S+\.lock': File exists\. *$/,
  /^fatal: gc is already running on machine '\S+' pid \d+ \(use --force if not\)$/,
];
const COMPLAINT = /^(remote: )?(error|fatal|warning|BUG): |^ ! /;

/** What a command complains of: nothing, a refusal of one kind, or anything else. */
export function complaintOf(stderr: string): 'nothing' | Refusal | 'other' {
  const complaints = stderr.split('\n').filter((line) => COMPLAINT.test(line));
  const areIn = (...known: readonly RegExp[]) =>
    complaints.filter((line) => known.some((each) => each.test(line))).length;
  if (complaints.length === 0) return 'nothing';
  if (areIn(...OVERTAKEN, ...LOCKED) < complaints.length) return 'other';
  return areIn(...LOCKED) > 0 ? 'locked' : 'overtaken';
}

export class GitMachine {
  readonly name: string;
  readonly refusals: Record<Refusal, number> = { overtaken: 0, locked: 0 };
  commands = 0;
  readonly #node: ClusterNode;

  constructor(node: ClusterNode) {
    this.#node = node;
    this.name = node.name;
  }

  path(name: string): string {
    return `${this.#node.dfs.mountpoint}/${name}`;
  }

  async write(name: string, text: string): Promise<void> {
    await this.#node.dfs.ok(`printf '%s' '${text}' > '${name}'`);
  }

  /** @returns what it prints. @throws Error with all it says */
  async git(dir: string, ...args: readonly string[]): Promise<string> {
    const { output, complaint, what } = await this.#run(dir, args);
    if (output.code === 0 && complaint === 'nothing') return output.stdout;
    throw new Error(what);
  }

  /** Again while it is refused, after `makeUp`. @throws Error it fails for any other reason */
  async retried(
    dir: string,
    args: readonly string[],
    makeUp: (refusal: Refusal) => Promise<unknown>,
  ): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { output, complaint, what } = await this.#run(dir, args);
      if (complaint === 'other') throw new Error(what);
      if (complaint !== 'nothing') this.refusals[complaint] += 1;
      // gc says which ref it left alone because somebody has it, and goes on.
      if (output.code === 0) return;
      if (complaint === 'nothing') throw new Error(what);
      await makeUp(complaint);
    }
    throw new Error(`${this.name}: git ${args.join(' ')} was refused ${TRIES_MAX} times in a row`);
  }

  async #run(dir: string, args: readonly string[]) {
    this.commands += 1;
    const output = await run('git', ['-C', this.path(dir), ...args], {
      env: { ...GIT, HOME: this.#node.dfs.dir },
      timeoutMs: GIT_MS,
      onTimeout: () => this.#node.dfs.abort(),
    });
    const { code, stdout, stderr } = output;
    const command = `${this.name}: git ${args.join(' ')} in ${dir}`;
    const what = `${command}: exit ${code}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`;
    return { output, complaint: complaintOf(stderr), what };
  }
}
