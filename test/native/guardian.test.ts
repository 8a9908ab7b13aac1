/** The guardian on roles that are shell scripts: what it starts again, and what it leaves alone. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isAlive, killHard, until } from '../support/processes.ts';

const GUARDIAN = resolve(import.meta.dirname, '../../../build/Release/dfs-guardian');

/** Takes the role's lock and writes its pid, as a dfs process does; SIGTERM is its good end. */
const ROLE = `
command=$1
for dir; do :; done
case $command in
  serve-node) role=node lock=lock ;;
  *) role=$command lock=$command.lock ;;
esac
exec 9>"$dir/$lock"
flock -n 9 || exit 1
echo "$command $*" >> "$dir/starts-$role"
[ -e "$dir/fails-$role" ] && exit 1
trap 'rm -f "$dir/run/$role.pid"; exit 0' TERM
echo $$ > "$dir/run/$role.pid"
while :; do sleep 0.02 9>&-; done
`;

class Fixture {
  readonly dir = mkdtempSync(join(tmpdir(), 'dfs-guardian-'));
  readonly #script = join(this.dir, 'role.sh');
  readonly #children: ChildProcess[] = [];

  constructor(t: TestContext) {
    mkdirSync(join(this.dir, 'run'));
    mkdirSync(join(this.dir, 'log'));
    writeFileSync(this.#script, ROLE);
    t.after(() => this.#close());
  }

  /** As `dfs mount` starts a role. */
  async start(role: 'node' | 'metaserver'): Promise<number> {
    const command = role === 'node' ? 'serve-node' : role;
    this.#spawn('/bin/sh', [this.#script, command, '--state', this.dir]);
    await until(`${role} runs`, () => this.pid(role) > 0 && isAlive(this.pid(role)));
    return this.pid(role);
  }

  guard(...flags: string[]): ChildProcess {
    return this.#spawn(GUARDIAN, [this.dir, '/bin/sh', this.#script, ...flags]);
  }

  async watching(...roles: string[]): Promise<void> {
    const up = (role: string): boolean => this.report().includes(`"${role}":{"state":"up"`);
    await until(`the guardian watches ${roles.join()}`, () => roles.every(up));
  }

  report(): string {
    const path = join(this.dir, 'run/guardian.json');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  pid(role: string): number {
    const path = join(this.dir, 'run', `${role}.pid`);
    return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
  }

  runsAnother(role: string, than: number): boolean {
    const pid = this.pid(role);
    return pid > 0 && pid !== than && isAlive(pid);
  }

  starts(role: string): string[] {
    const path = join(this.dir, `starts-${role}`);
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  }

  fails(role: string, fails: boolean): void {
    const path = join(this.dir, `fails-${role}`);
    if (fails) writeFileSync(path, '');
    else rmSync(path, { force: true });
  }

  #spawn(command: string, args: readonly string[]): ChildProcess {
    const child = spawn(command, args, { stdio: 'ignore', cwd: '/' });
    this.#children.push(child);
    return child;
  }

  async #close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const role of ['node', 'metaserver']) {
      if (this.pid(role) > 0) await killHard(this.pid(role));
    }
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

test('a role that was killed is started again, mounting what it had mounted', async (t) => {
  const fixture = new Fixture(t);
  const first = await fixture.start('node');
  fixture.guard();
  await fixture.watching('node');
  await killHard(first);
  await until('it is back', () => fixture.runsAnother('node', first));
  assert.match(fixture.starts('node')[1] ?? '', /^serve-node serve-node --remount --state/);
  await fixture.watching('node');
  assert.match(fixture.report(), /"restarts":1/);
});

test('one that keeps ending is started at growing intervals, until it stays', async (t) => {
  const fixture = new Fixture(t);
  const first = await fixture.start('metaserver');
  await fixture.start('node');
  fixture.guard('--metaserver');
  await fixture.watching('metaserver', 'node');
  fixture.fails('metaserver', true);
  await killHard(first);
  await until('it waits longer each time', () => fixture.report().includes('"backoffMs":800'));
  assert.ok(fixture.starts('metaserver').length >= 3);
  assert.equal(fixture.starts('node').length, 1, 'the other one is left alone');
  fixture.fails('metaserver', false);
  await fixture.watching('metaserver', 'node');
});

test('what ended in good order stays ended, and the guardian goes when nothing is left', async (t) => {
  const fixture = new Fixture(t);
  const metaserver = await fixture.start('metaserver');
  const node = await fixture.start('node');
  const guardian = fixture.guard('--metaserver');
  const gone = once(guardian, 'exit');
  await fixture.watching('metaserver', 'node');
  process.kill(node, 'SIGTERM');
  await until('the node is seen to have ended', () =>
    fixture.report().includes('"node":{"state":"ended"'),
  );
  process.kill(metaserver, 'SIGTERM');
  assert.deepEqual(await gone, [0, null]);
  assert.equal(fixture.starts('node').length + fixture.starts('metaserver').length, 2);
  assert.equal(existsSync(join(fixture.dir, 'run/guardian.json')), false);
});

test('SIGTERM ends the guardian and leaves the roles alone; the next one finds them', async (t) => {
  const fixture = new Fixture(t);
  const node = await fixture.start('node');
  const first = fixture.guard();
  const gone = once(first, 'exit');
  await fixture.watching('node');
  const second = fixture.guard();
  assert.deepEqual(await once(second, 'exit'), [0, null], 'there is one at a time');
  first.kill('SIGTERM');
  assert.deepEqual(await gone, [0, null]);
  assert.ok(isAlive(node));
  fixture.guard();
  await fixture.watching('node');
  assert.equal(fixture.pid('node'), node);
  assert.equal(fixture.starts('node').length, 1);
});

test('a crash that nobody saw is made good by the next guardian', async (t) => {
  const fixture = new Fixture(t);
  const node = await fixture.start('node');
  await killHard(node);
  fixture.guard();
  await until('it is back', () => fixture.runsAnother('node', node));
});
