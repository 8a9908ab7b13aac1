/** Figures of several rounds, put side by side. */

export function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return null;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** What dfs costs where local disk costs 1: the inverse for rates, where more is better. */
function costRatio({ isRate }, local, dfs) {
  if (local === null || dfs === null || local === 0 || dfs === 0) return null;
  return isRate ? local / dfs : dfs / local;
}

/** @param figures what rounds printed, each with its `side`, `local` or `dfs` */
export function rowsOf(figures) {
  const rows = new Map();
  for (const { side, suite, name, unit, isRate, value, error } of figures) {
    const key = `${suite} ${name}`;
    const row = rows.get(key) ?? { suite, name, unit, isRate, local: [], dfs: [], errors: [] };
    rows.set(key, row);
    if (error === undefined) row[side].push(value);
    else row.errors.push(`${side}: ${error}`);
  }
  return [...rows.values()].map(({ local, dfs, ...row }) => {
    const medians = { local: median(local), dfs: median(dfs) };
    const ratio = costRatio(row, medians.local, medians.dfs);
    return { ...row, ...medians, ratio, samples: { local, dfs } };
  });
}

function shown(number) {
  if (number === null) return '-';
  return number >= 100 ? number.toFixed(0) : number.toPrecision(3);
}

export function tableText(rows) {
  const lines = rows.map(({ name, unit, local, dfs, ratio, errors }) => [
    name,
    unit,
    shown(local),
    errors.length > 0 ? 'failed' : shown(dfs),
    shown(ratio),
  ]);
  const all = [['WORKLOAD', 'UNIT', 'LOCAL', 'DFS', 'TIMES'], ...lines];
  const widths = all[0].map((_, column) => Math.max(...all.map((line) => line[column].length)));
  const text = all.map((line) =>
    line
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
      )
      .join('  ')
      .trimEnd(),
  );
  return `${text.join('\n')}\n`;
}
