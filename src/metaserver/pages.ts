/** Walks over a range of the store, page by page; each page is as of the moment it is read. */
import type { CommitPath } from './commit.ts';
import type { KeyRange } from './core/keyspace.ts';
import type { KvEntry } from './kv.ts';

const PAGE = 1000;

export async function* pagesOf(
  commit: CommitPath,
  { gte, lt }: KeyRange,
): AsyncGenerator<KvEntry[]> {
  for (let from = gte; ; ) {
    const page = await commit.scan(commit.view(), { gte: from, lt, limit: PAGE });
    yield page;
    const last = page.at(-1);
    if (page.length < PAGE || last === undefined) return;
    from = `${last[0]}\0`;
  }
}

export async function* entriesOf(commit: CommitPath, range: KeyRange): AsyncGenerator<KvEntry> {
  for await (const page of pagesOf(commit, range)) yield* page;
}
