import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isDialable, peerAddress, sourceHost } from '../../../src/metaserver/peer-address.ts';

describe('where a connection comes from', () => {
  for (const [peer, host] of [
    ['192.0.2.7:41000', '192.0.2.7'],
    ['::ffff:192.0.2.7:41000', '192.0.2.7'],
    ['2001:db8::5:41000', '2001:db8::5'],
    ['[2001:db8::5]:41000', '2001:db8::5'],
    ['127.0.0.1:41000', undefined],
    ['127.8.8.8:41000', undefined],
    ['::1:41000', undefined],
    ['::ffff:127.0.0.1:41000', undefined],
    ['unknown', undefined],
    ['unix:/run/dfs/meta.sock', undefined],
    ['', undefined],
  ] as const) {
    it(`is ${host ?? 'this host'} for '${peer}'`, () => {
      assert.equal(sourceHost(peer), host);
    });
  }
});

describe('the address of a peer', () => {
  for (const [advertise, source, address] of [
    ['', '192.0.2.7', '192.0.2.7:7481'],
    ['', '2001:db8::5', '[2001:db8::5]:7481'],
    ['', undefined, ':7481'],
    ['ada.example', '192.0.2.7', 'ada.example:7481'],
    ['ada.example', undefined, 'ada.example:7481'],
    ['198.51.100.3', '192.0.2.7', '198.51.100.3:7481'],
    ['2001:db8::5', undefined, '[2001:db8::5]:7481'],
    ['[2001:db8::5]', undefined, '[2001:db8::5]:7481'],
    ['::ffff:198.51.100.3', undefined, '198.51.100.3:7481'],
    ['localhost', '192.0.2.7', ':7481'],
    ['127.0.0.1', '192.0.2.7', ':7481'],
    ['[::1]', '192.0.2.7', ':7481'],
    ['::ffff:127.0.0.1', '192.0.2.7', ':7481'],
  ] as const) {
    it(`is ${address} when '${advertise}' is advertised from ${source ?? 'this host'}`, () => {
      assert.equal(peerAddress({ advertise, source, port: 7481 }), address);
    });
  }
});

describe('what a peer advertises', () => {
  it('may be a name or an address of one machine', () => {
    for (const host of ['ada', 'ada.example.', 'my_host', '10.0.0.1', '2001:db8::1', '[::1]']) {
      assert.ok(isDialable(host), host);
    }
  });

  it('is refused when nobody could dial it', () => {
    const long = 'a'.repeat(254);
    for (const host of ['', '0.0.0.0', '::', '[::]', 'a b', 'a:80', '-a', 'a/b', 'a\n', long]) {
      assert.ok(!isDialable(host), host);
    }
  });
});
