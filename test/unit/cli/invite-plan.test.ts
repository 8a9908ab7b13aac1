import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinCommand, planInvite, waysIn } from '../../../src/cli/invite-plan.ts';
import { machineAddresses } from '../../../src/cli/machine-addresses.ts';

const NOTHING = { metaserver: undefined, peer: undefined };
const HERE = ['10.0.0.5', 'fd00::5'];

function each(...addresses: readonly string[]): { address: string; internal: boolean }[] {
  return addresses.map((address) => ({ address, internal: /^127|^::1/.test(address) }));
}

test('real IPv4 addresses come first, bridges of containers last, loopback never', () => {
  const addresses = machineAddresses({
    lo: each('127.0.0.1', '::1'),
    docker0: each('172.17.0.1'),
    eth0: each('fd00::5', 'fe80::5', '10.0.0.5'),
    wlan0: each('192.168.1.7'),
    gone: undefined,
  });
  assert.deepEqual(addresses, ['10.0.0.5', '192.168.1.7', 'fd00::5', '172.17.0.1']);
});

test('a machine with nothing but loopback has no address', () => {
  assert.deepEqual(machineAddresses({ lo: each('127.0.0.1', '::1') }), []);
});

test('an invitation opens the ports in use on every interface', () => {
  const remembered = { metaserver: 4001, peer: 4002 };
  assert.deepEqual(planInvite({ config: {}, remembered, addresses: HERE }), {
    metaserver: { host: '0.0.0.0', port: 4001 },
    peer: { host: '0.0.0.0', port: 4002 },
    settings: { listen: '0.0.0.0', peerListen: '0.0.0.0', insecure: true },
  });
  const plain = planInvite({ config: {}, remembered: NOTHING, addresses: HERE });
  assert.deepEqual([plain.metaserver.port, plain.peer.port], [7480, 7481]);
});

test('hosts and ports that the user chose stay', () => {
  const config = { listen: '10.0.0.5', peerListen: '127.0.0.1:7000' };
  const plan = planInvite({ config, remembered: NOTHING, addresses: HERE });
  assert.deepEqual(plan.settings, {
    listen: '10.0.0.5',
    peerListen: '0.0.0.0:7000',
    insecure: true,
  });
  assert.deepEqual(plan.metaserver, { host: '10.0.0.5', port: 7480 });
  assert.deepEqual(plan.peer, { host: '0.0.0.0', port: 7000 });
});

test('a second invitation plans what the first one has done', () => {
  const remembered = { metaserver: 7480, peer: 7481 };
  const first = planInvite({ config: {}, remembered, addresses: HERE });
  const config = { listen: '0.0.0.0', peerListen: '0.0.0.0' };
  assert.deepEqual(planInvite({ config, remembered, addresses: HERE }), first);
});

test('a machine with IPv6 alone opens that', () => {
  const plan = planInvite({ config: {}, remembered: NOTHING, addresses: ['fd00::5'] });
  assert.deepEqual(plan.metaserver, { host: '::', port: 7480 });
  assert.equal(plan.settings.listen, '[::]');
});

test('the way in is an address of this machine that the listener covers', () => {
  const everywhere = [{ host: '0.0.0.0', port: 7480 }];
  const reach = { listeners: everywhere, addresses: HERE, advertise: undefined };
  assert.deepEqual(waysIn(reach), ['10.0.0.5:7480']);
  const both = { ...reach, listeners: [{ host: '::', port: 7480 }] };
  assert.deepEqual(waysIn(both), ['10.0.0.5:7480', '[fd00::5]:7480']);
  const one = { ...reach, listeners: [{ host: 'fd00::5', port: 9 }] };
  assert.deepEqual(waysIn(one), ['[fd00::5]:9']);
});

test('what is advertised is what others type', () => {
  const listeners = [{ host: '0.0.0.0', port: 7480 }];
  const ways = waysIn({ listeners, addresses: HERE, advertise: 'wren.example' });
  assert.deepEqual(ways, ['wren.example:7480', '10.0.0.5:7480']);
});

test('the line for this same machine needs no --insecure but a folder of its own', () => {
  assert.equal(joinCommand('10.0.0.5:1'), './dfs mount /mnt/dfs --join 10.0.0.5:1 --insecure');
  assert.match(joinCommand('127.0.0.1:1'), /^\.\/dfs mount \S+ --join 127\.0\.0\.1:1 --state \S+$/);
});
