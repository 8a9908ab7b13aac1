import { run } from './dfs.ts';

/** Why a test cannot run programs of this machine, for it to skip with. */
export async function reasonAgainstPrograms(
  ...programs: readonly string[]
): Promise<string | false> {
  for (const program of programs) {
    const found = await run('sh', ['-c', `command -v ${program}`]);
    if (found.code !== 0) return `the program ${program} is not installed`;
  }
  return false;
}
