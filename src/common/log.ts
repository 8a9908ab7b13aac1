/**
 * Structured log: one JSON line an event on a sink (stderr by default).
 * Levels come from one filter string: `info,mount=debug,-peer` (default level, component=level,
 * -component silences). Components are dotted; the longest matching prefix wins.
 */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(component: string): Logger;
}

const RANK = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, off: 5 } as const;
type Rank = keyof typeof RANK;

interface Rule {
  readonly component: string;
  readonly rank: number;
}

function isRank(text: string): text is Rank {
  return text in RANK;
}

function parseFilter(filter: string): Rule[] {
  const rules: Rule[] = [{ component: '', rank: RANK.info }];
  for (const part of filter.split(',').map((text) => text.trim())) {
    if (part === '') continue;
    if (part.startsWith('-')) rules.push({ component: part.slice(1), rank: RANK.off });
    else if (isRank(part)) rules.push({ component: '', rank: RANK[part] });
    else {
      const [component = '', level = ''] = part.split('=');
      if (isRank(level)) rules.push({ component, rank: RANK[level] });
    }
  }
  return rules;
}

function covers(rule: string, component: string): boolean {
  return rule === '' || component === rule || component.startsWith(`${rule}.`);
}

function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return value.stack ?? value.message;
}

export type LogSink = (line: string) => void;

export class JsonLogger implements Logger {
  readonly #component: string;
  readonly #rules: readonly Rule[];
  readonly #sink: LogSink;
  readonly #rank: number;

  private constructor(component: string, rules: readonly Rule[], sink: LogSink) {
    this.#component = component;
    this.#rules = rules;
    this.#sink = sink;
    let best: Rule | undefined;
    for (const rule of rules) {
      if (!covers(rule.component, component)) continue;
      if (best === undefined || rule.component.length >= best.component.length) best = rule;
    }
    this.#rank = best?.rank ?? RANK.info;
  }

  static create(component: string, filter = '', sink: LogSink = stderrSink): JsonLogger {
    return new JsonLogger(component, parseFilter(filter), sink);
  }

  child(component: string): Logger {
    const name = this.#component === '' ? component : `${this.#component}.${component}`;
    return new JsonLogger(name, this.#rules, this.#sink);
  }

  trace(message: string, fields?: LogFields): void {
    this.#write('trace', message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  #write(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (RANK[level] < this.#rank) return;
    const shown = Object.fromEntries(
      Object.entries(fields).map(([key, value]) => [key, describeError(value)]),
    );
    const record = { time: new Date().toISOString(), level, component: this.#component, message };
    this.#sink(`${JSON.stringify({ ...record, ...shown })}\n`);
  }
}

function stderrSink(line: string): void {
  process.stderr.write(line);
}

/** A logger that drops everything, for tests. */
export const silentLogger: Logger = JsonLogger.create('', 'off', () => undefined);
