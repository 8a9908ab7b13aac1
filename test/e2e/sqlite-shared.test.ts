/**
 * Programs on three machines write to one sqlite database (with a rollback journal, as is usual):
 * every transaction that was committed is in it, once, and it is intact. SECONDS makes it longer.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { type ClusterNode, TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 8);
const WRITER = resolve(import.meta.dirname, '../../../test/support/workload/sqlite.py');
const SCHEMA = `
create table entry (writer text, number integer, unique (writer, number));
create table total (entries integer);
insert into total values (0);`;

/** What a query says, one line a row. */
async function sql({ dfs }: ClusterNode, statements: string): Promise<string[]> {
  const script = `
import sqlite3, sys
connection = sqlite3.connect("db", timeout=60)
for statement in sys.stdin.read().split(";"):
    for row in connection.execute(statement): print(*row)
connection.commit()`;
  const printed = await dfs.ok(`python3 -c '${script}' <<'SQL'\n${statements}\nSQL`);
  return printed.trim().split('\n');
}

async function written({ dfs }: ClusterNode, writer: string): Promise<number> {
  const args = ['-B', WRITER, `${dfs.mountpoint}/db`, writer, String(SECONDS)];
  const output = await run('python3', args, {
    timeoutMs: SECONDS * 1_000 + 120_000,
    onTimeout: () => dfs.abort(),
  });
  return Number(expectOk(output, `writer ${writer}`).stdout);
}

const skip = await reasonAgainstPrograms('python3');

test('sqlite keeps what programs on three machines commit', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 3, network: 'host' });
  await sql(cluster.node(0), SCHEMA);
  const writers = [...cluster.nodes, ...cluster.nodes].map((node, at) => `${node.name}${at}`);
  const counts = await Promise.all(
    writers.map((writer, at) => written(cluster.node(at % cluster.nodes.length), writer)),
  );
  const total = counts.reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${total} transactions in ${SECONDS} s: ${counts.join(', ')}`);
  for (const node of cluster.nodes) {
    const [intact, entries, counted, ...rows] = await sql(
      node,
      `pragma integrity_check; select count(*) from entry; select entries from total;
       select writer, count(*), max(number) from entry group by writer order by writer`,
    );
    assert.deepEqual([intact, entries, counted], ['ok', String(total), String(total)], node.name);
    const expected = writers.map((writer, at) => [writer, counts[at] ?? 0] as const);
    const shown = expected
      .filter(([, count]) => count > 0)
      .map(([writer, count]) => `${writer} ${count} ${count - 1}`);
    assert.deepEqual(rows, shown.sort(), node.name);
  }
  assert.ok(
    counts.every((count) => count > 0),
    'everybody had a turn',
  );
});
