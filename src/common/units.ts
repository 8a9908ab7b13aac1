/** Sizes and durations as people type them, and sizes as people read them. */

const SIZE_UNITS: readonly string[] = ['', 'K', 'M', 'G', 'T', 'P'];
const DURATION_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['', 1_000],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** `1 file`, `2 files` */
export function formatCount(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** `10G`, `1.5MiB`, `4096`: powers of 1024. @returns whole bytes, undefined when it is no size */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = '', unit = ''] = match;
  const power = SIZE_UNITS.indexOf(unit.toUpperCase());
  const bytes = Math.round(Number(digits) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `30s`, `500ms`, `2m`, `1h`, a bare number is seconds. @returns whole milliseconds */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = '', unit = ''] = match;
  const factor = DURATION_MS.get(unit.toLowerCase());
  if (factor === undefined) return undefined;
  const ms = Math.round(Number(digits) * factor);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** `1.5 GiB`: three digits at most, for tables. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let power = 0;
  while (value >= 1024 && power < SIZE_UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  if (power === 0) return `${bytes} B`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${SIZE_UNITS[power]}iB`;
}
