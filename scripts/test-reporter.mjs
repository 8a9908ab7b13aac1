/** A node:test reporter for test-runner.mjs: one JSON line for each finished test. */

function describe(error) {
  const cause = error?.cause ?? error;
  return String(cause?.stack ?? cause?.message ?? cause ?? 'no reason given');
}

function outcome(type, data) {
  const said = typeof data.skip === 'string' ? data.skip : data.todo;
  if (data.skip !== undefined || data.todo !== undefined) {
    return { result: 'skipped', reason: typeof said === 'string' ? said : 'no reason given' };
  }
  if (type === 'test:pass') return { result: 'passed' };
  return { result: 'failed', reason: describe(data.details?.error) };
}

// The runner loads a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: the contract of --test-reporter
export default async function* report(source) {
  const path = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') path.splice(data.nesting, path.length, data.name);
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const suite = data.details?.type === 'suite';
    const found = outcome(type, data);
    // A suite counts by its tests, unless it failed by itself (in a hook).
    const byItsTests =
      found.result !== 'failed' || data.details?.error?.failureType === 'subtestsFailed';
    if (suite && byItsTests) continue;
    const parents = path.slice(0, data.nesting);
    const name = [...parents, data.name].join(' > ');
    yield `${JSON.stringify({ name, ...found, ms: data.details?.duration_ms ?? 0 })}\n`;
  }
}
