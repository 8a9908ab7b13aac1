/**
 * A C project built by make on two machines, in turn and at once, each its own program, after
 * edits of headers on the other machine: what is compiled again is exactly what they change, and
 * the programs print what the headers say, on both. ROUNDS makes it longer.
 */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Header,
  headerText,
  made,
  type Program,
  printed,
  projectFiles,
  remade,
} from '../support/c-project.ts';
import { type ClusterNode, TestCluster } from '../support/cluster.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 1);
const MAKE_MS = 120_000;
const NOTHING = /^make: ('\S+' is up to date|Nothing to be done for 'all')\.$/;

class Project {
  readonly #dir: string;
  readonly #values: Record<Header, number> = { common: 100, one: 200, two: 300 };
  readonly #nodes: readonly ClusterNode[];

  private constructor(nodes: readonly ClusterNode[], dir: string) {
    this.#nodes = nodes;
    this.#dir = dir;
  }

  static async make(nodes: readonly ClusterNode[], dir: string): Promise<Project> {
    const project = new Project(nodes, dir);
    const [first] = nodes;
    assert.ok(first !== undefined);
    const source = join(first.dfs.dir, dir);
    await mkdir(source);
    for (const [name, text] of projectFiles(project.#values)) {
      await writeFile(join(source, name), text);
    }
    await first.dfs.ok(`cp -r ${source} ${dir}`);
    return project;
  }

  /** @returns what it made, in order of the alphabet */
  async build(node: ClusterNode, target: Program | 'all'): Promise<string[]> {
    const output = await node.dfs.sh(
      `make -j2 -C ${this.#dir} --no-print-directory ${target}`,
      MAKE_MS,
    );
    const what = `make ${target} on ${node.name}: ${JSON.stringify(output)}`;
    assert.equal(output.code, 0, what);
    assert.equal(output.stderr, '', what);
    const lines = output.stdout.trim().split('\n');
    return lines.filter((line) => !NOTHING.test(line)).sort();
  }

  /** As editors do: in place, or by a new file that takes the name. */
  async edit(node: ClusterNode, header: Header, how: 'in place' | 'by rename'): Promise<void> {
    this.#values[header] += 1_000;
    const text = headerText(header, this.#values[header]).trim();
    const name = `${this.#dir}/${header}.h`;
    const commands = {
      'in place': `echo '${text}' > ${name}`,
      'by rename': `echo '${text}' > ${name}.new; mv ${name}.new ${name}`,
    };
    await node.dfs.ok(commands[how]);
  }

  async clean(node: ClusterNode): Promise<void> {
    await node.dfs.ok(`make -s -C ${this.#dir} clean`);
  }

  /** Both programs print what the headers say, on all machines, and nobody has anything to make. */
  async check(what: string): Promise<void> {
    for (const node of this.#nodes) {
      for (const program of ['one', 'two'] as const) {
        const said = await node.dfs.ok(`${this.#dir}/${program}`);
        assert.equal(said, printed(program, this.#values), `${what}: ${program} on ${node.name}`);
      }
      assert.deepEqual(await this.build(node, 'all'), [], `${what}: make again on ${node.name}`);
    }
  }
}

/** The programs are byte for byte what a build of the same sources on a local disk makes. */
async function checkBytes(node: ClusterNode, dir: string): Promise<void> {
  await node.dfs.ok(`
    rm -rf "$HOME/local" && mkdir "$HOME/local" && cp ${dir}/*.[ch] ${dir}/Makefile "$HOME/local"
    make -s -C "$HOME/local" > "$HOME/made"
    for program in one two; do cmp ${dir}/$program "$HOME/local/$program"; done`);
}

async function round(nodes: readonly ClusterNode[], dir: string): Promise<void> {
  const [a, b] = nodes;
  assert.ok(a !== undefined && b !== undefined);
  const project = await Project.make(nodes, dir);
  const atOnce = () => Promise.all([project.build(a, 'one'), project.build(b, 'two')]);

  assert.deepEqual(await project.build(a, 'one'), made('one'));
  assert.deepEqual(await project.build(b, 'all'), made('two'));
  await project.check('built in turn');

  await project.edit(b, 'one', 'in place');
  assert.deepEqual(await project.build(a, 'all'), remade('one', ['one']));
  await project.edit(a, 'common', 'by rename');
  const both = [...remade('one', ['common']), ...remade('two', ['common'])].sort();
  assert.deepEqual(await project.build(b, 'all'), both);
  await project.check('edited in turn');

  await project.clean(a);
  assert.deepEqual(await atOnce(), [made('one'), made('two')]);
  await project.check('built at once');

  for (const how of ['in place', 'by rename'] as const) {
    await Promise.all([project.edit(a, 'two', how), project.edit(b, 'one', how)]);
    assert.deepEqual(await atOnce(), [remade('one', ['one']), remade('two', ['two'])], how);
    await project.edit(a, 'common', how);
    assert.deepEqual(await atOnce(), [remade('one', ['common']), remade('two', ['common'])], how);
    await project.check(`edited ${how}, built at once`);
  }
  for (const node of nodes) await checkBytes(node, dir);
}

const skip = await reasonAgainstPrograms('make', 'cc');

test('make on two machines makes what has to be made', { skip }, async (t) => {
  const { nodes } = await TestCluster.start(t, { nodes: 2, network: 'host' });
  for (let n = 1; n <= ROUNDS; n++) await t.test(`round ${n}`, () => round(nodes, `project-${n}`));
});
