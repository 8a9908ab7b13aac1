import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatAddress,
  isLoopback,
  parseAddress,
  resolvePeerAddress,
} from '../../../src/common/address.ts';

test('names, IPv4 and bracketed IPv6 are read, with or without a port', () => {
  assert.deepEqual(parseAddress('host', 7480), { host: 'host', port: 7480 });
  assert.deepEqual(parseAddress('10.0.0.1:0', 7480), { host: '10.0.0.1', port: 0 });
  assert.deepEqual(parseAddress('[fd00::1]', 7480), { host: 'fd00::1', port: 7480 });
  assert.deepEqual(parseAddress('[fd00::1]:9', 7480), { host: 'fd00::1', port: 9 });
  assert.deepEqual(parseAddress(':9', 7480), { host: '', port: 9 });
});

test('what is no address is refused with the text', () => {
  for (const text of ['a b', '::1', 'host:x', 'host:', '[10.0.0.1]:1', 'http://host']) {
    const expected = { code: 'EINVAL', message: /is no address/ };
    assert.throws(() => parseAddress(text, 1), expected, text);
  }
  assert.throws(() => parseAddress('', 1), { code: 'EINVAL', message: /empty/ });
  assert.throws(() => parseAddress('host:65536', 1), { message: /ports go up to 65535/ });
});

test('an address is written as it is read', () => {
  for (const text of ['host:1', '10.0.0.1:65535', '[fd00::1]:9', ':9']) {
    assert.equal(formatAddress(parseAddress(text, 1)), text);
  }
});

test('loopback is what no other machine reaches', () => {
  const loopback = ['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'a.localhost'];
  const open = ['0.0.0.0', '::', '10.0.0.1', 'fd00::1', 'host', '127.example'];
  assert.deepEqual(loopback.filter(isLoopback), loopback);
  assert.deepEqual(open.filter(isLoopback), []);
});

test('a peer on the host of the metaserver is dialled as the metaserver is', () => {
  assert.equal(resolvePeerAddress('10.0.0.7:7481', '10.0.0.5:7480'), '10.0.0.7:7481');
  assert.equal(resolvePeerAddress(':7481', '10.0.0.5:7480'), '10.0.0.5:7481');
  assert.equal(resolvePeerAddress(':7481', '[fd00::1]:7480'), '[fd00::1]:7481');
  for (const here of ['unix:/run/dfs.sock', '127.0.0.1:7480', 'localhost:7480', '[::1]:7480']) {
    assert.equal(resolvePeerAddress(':7481', here), '127.0.0.1:7481');
  }
  assert.equal(resolvePeerAddress('', '10.0.0.5:7480'), undefined);
  assert.throws(() => resolvePeerAddress('a b', '10.0.0.5:7480'), { code: 'EINVAL' });
});
