import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonLogger } from '../../../src/common/log.ts';
import type { RequestContext, StuckRequest } from '../../../src/mount/driver/driver.ts';
import { LONG_MS, Watchdog } from '../../../src/mount/watchdog.ts';

const PERIOD_MS = 60_000;

class World {
  nowMs = 0;
  readonly lines: string[] = [];
  readonly watchdog: Watchdog;
  #requests: { readonly sinceMs: number; readonly stuck: StuckRequest }[] = [];

  constructor() {
    this.watchdog = new Watchdog({
      stuck: (olderThanMs) => this.#stuck(olderThanMs),
      explain: async (requests) =>
        requests.map(({ ino, ms, op }) => {
          return { op, ms, ino, path: `file${ino}`, for: 'lease', why: 'nas has it', blockers: [] };
        }),
      log: JsonLogger.create('mount', 'info', (line) => this.#log(line)),
      bootMs: () => this.nowMs,
    });
  }

  /** A request comes now. */
  begin(ino: number): void {
    const context = { unique: ino } as unknown as RequestContext;
    const stuck = { op: 'WRITE', ms: 0, ino, for: undefined, context } as const;
    this.#requests.push({ sinceMs: this.nowMs, stuck });
  }

  answerAll(): void {
    this.#requests = [];
  }

  /** @returns what was logged meanwhile */
  async pass(ms: number): Promise<string[]> {
    this.lines.length = 0;
    this.nowMs += ms;
    await this.watchdog.turn();
    return [...this.lines];
  }

  #stuck(olderThanMs: number): StuckRequest[] {
    const late = this.#requests.filter(({ sinceMs }) => this.nowMs - sinceMs >= olderThanMs);
    return late.map(({ sinceMs, stuck }) => ({ ...stuck, ms: this.nowMs - sinceMs }));
  }

  #log(line: string): void {
    const { count, ino, level, message, ms, path, why } = JSON.parse(line) as Record<
      string,
      unknown
    >;
    const what = count === undefined ? `${path} (${ino}) ${ms} ${why}` : `${count}`;
    this.lines.push(`${level} ${message}: ${what}`);
  }
}

test('a request that waits past ten seconds is named in the log, once', async () => {
  const world = new World();
  world.begin(7);
  assert.deepEqual(await world.pass(LONG_MS - 1), []);
  assert.deepEqual(await world.pass(1), ['warn a request waits: file7 (7) 10000 nas has it']);
  assert.deepEqual(await world.pass(1_000), []);
  world.begin(8);
  assert.deepEqual(await world.pass(LONG_MS), ['warn a request waits: file8 (8) 10000 nas has it']);
});

test('many are counted, not named, until a minute is over', async () => {
  const world = new World();
  for (let ino = 1; ino <= 25; ino += 1) world.begin(ino);
  const lines = await world.pass(LONG_MS);
  assert.equal(lines.length, 10);
  assert.match(lines[0] ?? '', /file1 /);
  world.begin(30);
  assert.deepEqual(await world.pass(LONG_MS), []);
  world.answerAll();
  assert.deepEqual(await world.pass(PERIOD_MS - 2 * LONG_MS), [
    'warn more requests waited than were named: 16',
  ]);
  assert.deepEqual(await world.pass(PERIOD_MS), []);
  world.begin(31);
  assert.equal((await world.pass(LONG_MS)).length, 1);
});
