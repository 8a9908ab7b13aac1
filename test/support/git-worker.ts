import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GitMachine, Refusal } from './git-machine.ts';

const LOCKED_MS = 20;

/** Of a branch that nobody else changes: it can be locked, by gc, and no more. */
async function unlocked(refusal: Refusal): Promise<void> {
  assert.equal(refusal, 'locked', 'nobody else changes this branch');
  await sleep(LOCKED_MS);
}

interface Committed {
  readonly commit: string;
  readonly file: string;
  readonly text: string;
}

/** What one machine commits to a shared repository, by both ways, and remembers of it. */
export class GitWorker {
  /** Made in a worktree of the repository itself, oldest first. */
  readonly inTree: Committed[] = [];
  /** Pushed from a clone to the branch that all push to, oldest first. */
  readonly pushed: Committed[] = [];
  readonly machine: GitMachine;
  readonly clone: string;
  readonly tree: string;

  constructor(machine: GitMachine, dir: string) {
    this.machine = machine;
    this.clone = `${dir}/clone-${machine.name}`;
    this.tree = `${dir}/tree-${machine.name}`;
  }

  async step(step: number): Promise<void> {
    const { machine, clone, tree } = this;
    this.inTree.push(await this.#commit(tree, `in-tree-${step}`));
    const { file, text } = await this.#commit(clone, `pushed-${step}`);
    await machine.retried(clone, ['push', '-q', 'origin', 'HEAD:main'], async (refusal) => {
      if (refusal === 'locked') return sleep(LOCKED_MS);
      await machine.git(clone, 'fetch', '-q');
      const others = await machine.git(clone, 'rev-list', 'HEAD..origin/main');
      assert.notEqual(others, '', 'refused for what somebody else pushed, and nobody did');
      await machine.git(clone, 'rebase', '-q', 'origin/main');
    });
    this.pushed.push({ commit: await this.#head(clone), file, text });
    await machine.retried(clone, ['push', '-q', 'origin', `HEAD:own-${machine.name}`], unlocked);
  }

  /** Looks at every commit in `repository`, from another machine. */
  async check(repository: string, there: GitMachine): Promise<void> {
    const { name } = this.machine;
    for (const { commit, file, text } of [...this.inTree, ...this.pushed]) {
      assert.equal(await there.git(repository, 'cat-file', 'blob', `${commit}:${file}`), text);
      const change = ['diff-tree', '-r', '--no-commit-id', '--name-status', commit];
      assert.equal(await there.git(repository, ...change), `A\t${file}\n`);
    }
    const own = await there.git(repository, 'rev-list', '--reverse', `main..tree-${name}`);
    assert.deepEqual(own.trim().split('\n'), ids(this.inTree));
    const tip = await there.git(repository, 'rev-parse', `own-${name}`);
    assert.equal(tip.trim(), this.pushed.at(-1)?.commit);
    assert.equal(await there.git(this.tree, 'status', '--porcelain'), '');
  }

  async #commit(dir: string, what: string): Promise<Committed> {
    const { machine } = this;
    const file = `${machine.name}-${what}`;
    const text = `${machine.name} writes ${what} in ${dir}\n`.repeat(20);
    await machine.write(`${dir}/${file}`, text);
    await machine.git(dir, 'add', file);
    await machine.retried(dir, ['commit', '-q', '-m', file], unlocked);
    return { commit: await this.#head(dir), file, text };
  }

  async #head(dir: string): Promise<string> {
    return (await this.machine.git(dir, 'rev-parse', 'HEAD')).trim();
  }
}

export function ids(commits: readonly Committed[]): string[] {
  return commits.map(({ commit }) => commit);
}
