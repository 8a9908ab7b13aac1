import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { insecureProblems } from '../../../src/cli/listen-status.ts';
import { openToNetwork, rememberListeners } from '../../../src/cli/listeners.ts';
import { machineAddresses } from '../../../src/cli/machine-addresses.ts';
import { type Address, formatAddress } from '../../../src/common/address.ts';
import { FsError } from '../../../src/common/errno.ts';
import { readListenRecord } from '../../../src/common/listen-record.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { Listen } from '../../../src/common/rpc/listen-wish.ts';
import { type StatePaths, statePaths } from '../../../src/common/state-paths.ts';

const WANTED = { host: '0.0.0.0', port: 7480 } as const;
const LOOPBACK = { host: '127.0.0.1', port: 7480 } as const;
const FREE_PORT = 50_000;
const here = machineAddresses(networkInterfaces()).filter((address) => isIP(address) === 4);

/** Opens what is not taken. @returns what was opened, as it grows */
function listening(isTaken: (address: Address) => boolean): { opened: Address[]; listen: Listen } {
  const opened: Address[] = [];
  const listen: Listen = (address) => {
    if (isTaken(address)) return Promise.reject(new FsError('EBUSY', 'taken'));
    const open = { ...address, port: address.port === 0 ? FREE_PORT : address.port };
    opened.push(open);
    return Promise.resolve(open);
  };
  return { opened, listen };
}

describe('opening a metaserver to the network', () => {
  const log = silentLogger;

  test('takes the wanted address when it is free', async () => {
    const { listen, opened } = listening(() => false);
    assert.deepEqual(await openToNetwork(WANTED, [], { listen, log }), [WANTED]);
    assert.deepEqual(opened, [WANTED]);
  });

  test('changes nothing when it is open already', async () => {
    const { listen, opened } = listening(() => false);
    const before = [LOOPBACK, { host: '10.0.0.5', port: 9 }];
    assert.deepEqual(await openToNetwork(WANTED, before, { listen, log }), [before[1]]);
    assert.deepEqual(opened, []);
  });

  test('keeps the port that only its own loopback listener holds', async () => {
    const { listen } = listening(({ host }) => host === WANTED.host);
    const addresses = here.map((host) => ({ host, port: WANTED.port }));
    const open = openToNetwork(WANTED, [LOOPBACK], { listen, log });
    if (addresses.length > 0) assert.deepEqual(await open, addresses);
    else await assert.rejects(open, { code: 'EBUSY' });
  });

  test('takes a free port when another program holds the wanted one', async () => {
    const { listen } = listening(({ port }) => port === WANTED.port);
    const free = [{ ...WANTED, port: FREE_PORT }];
    assert.deepEqual(await openToNetwork(WANTED, [], { listen, log }), free);
    assert.deepEqual(await openToNetwork(WANTED, [LOOPBACK], { listen, log }), free);
  });

  test('fails with the reason when nothing can be opened', async () => {
    const { listen } = listening(() => true);
    await assert.rejects(openToNetwork(WANTED, [], { listen, log }), { code: 'EBUSY' });
  });
});

describe('the memory of ports', () => {
  async function paths(t: TestContext): Promise<StatePaths> {
    const dir = await mkdtemp(join(tmpdir(), 'dfs-listen-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    return statePaths(dir);
  }

  test('keeps what the other role wrote', async (t) => {
    const where = await paths(t);
    await rememberListeners(where, { metaserver: [LOOPBACK] });
    await rememberListeners(where, { peer: { host: '0.0.0.0', port: 7481 } });
    assert.deepEqual(await readListenRecord(where), {
      metaserver: [LOOPBACK],
      peer: { host: '0.0.0.0', port: 7481 },
    });
  });

  test('is written only when it changes', async (t) => {
    const where = await paths(t);
    await rememberListeners(where, { metaserver: [LOOPBACK] });
    const { ino } = await stat(where.listenRecord);
    await rememberListeners(where, { metaserver: [{ ...LOOPBACK }] });
    assert.equal((await stat(where.listenRecord)).ino, ino);
    assert.match(await readFile(where.listenRecord, 'utf8'), /"port": 7480/);
  });
});

describe('a listener beyond this machine', () => {
  const problemOf = (metaserver: readonly Address[], peer: string | null): string => {
    const [problem] = insecureProblems({ metaserver: metaserver.map(formatAddress), peer });
    return problem === undefined ? '' : `${problem.code}: ${problem.message}`;
  };

  test('is a problem that names it', () => {
    assert.match(
      problemOf([WANTED, LOOPBACK], '127.0.0.1:7481'),
      /^insecure-listener: 0\.0\.0\.0:7480 is open to the network: .* unencrypted$/,
    );
    assert.match(problemOf([WANTED], '[::]:7481'), /0\.0\.0\.0:7480 and \[::\]:7481 are open/);
  });

  test('is none where everything stays on this machine', () => {
    assert.equal(problemOf([LOOPBACK], null), '');
    assert.equal(problemOf([], '[::1]:7481'), '');
  });
});
