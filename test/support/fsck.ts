/** `dfs fsck` on the machines of a cluster. */
import assert from 'node:assert/strict';
import type { FsckReport } from '../../src/common/core/fsck-report.ts';
import type { ClusterNode, TestCluster } from './cluster.ts';

export interface Checked {
  readonly code: number;
  readonly report: FsckReport;
  readonly stderr: string;
}

export async function fsck({ dfs, name }: ClusterNode): Promise<Checked> {
  const { code, stderr, stdout } = await dfs.cli(['fsck', '--json']);
  assert.notEqual(stdout, '', `dfs fsck of ${name}: ${stderr}`);
  return { code, report: JSON.parse(stdout) as FsckReport, stderr };
}

/** The namespace, and the backing files of every machine. */
export async function requireSound({ nodes }: TestCluster, what: string): Promise<void> {
  for (const node of nodes) {
    const { code, report } = await fsck(node);
    const { backing, namespace } = report;
    assert.deepEqual(namespace.findings, [], `${what}, as ${node.name} says`);
    assert.equal(backing.strays, 0, `${what}: ${node.name} keeps ${backing.strayInos.join(', ')}`);
    assert.deepEqual([code, report.clean], [0, true], what);
  }
}
