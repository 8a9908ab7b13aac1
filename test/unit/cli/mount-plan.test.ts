import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountOptions } from '../../../src/cli/mount-options.ts';
import { type MountFlags, type MountPlan, planMount } from '../../../src/cli/mount-plan.ts';
import { decodeMountRequest } from '../../../src/cli/mount-request.ts';
import type { Config } from '../../../src/common/config.ts';

function plan(flags: MountFlags, config: Config = {}, uid = 0): MountPlan {
  return planMount({ mountpoint: '/mnt/dfs', flags, config, uid });
}

test('what mount(8) and fstab pass is accepted', () => {
  const list = 'rw,user,_netdev,noauto,nofail,defaults,x-systemd.automount,default_permissions';
  assert.deepEqual(parseMountOptions([list]), { readOnly: false });
});

test('the later of two contradicting options wins', () => {
  assert.deepEqual(parseMountOptions(['ro,nosuid', 'rw,suid']), { readOnly: false, suid: true });
});

test('options with values are read', () => {
  const options = parseMountOptions(['wait=30s,uid=1000,gid=100', 'state=/data/dfs']);
  assert.deepEqual(options, { waitMs: 30_000, uid: 1000, gid: 100, stateDir: '/data/dfs' });
});

test('an unknown option is refused by name', () => {
  const bad: readonly [string, RegExp][] = [
    ['noexce', /unknown mount option 'noexce' \(did you mean noexec\?\)/],
    ['rw,frobnicate=1', /unknown mount option 'frobnicate=1'/],
    ['wait', /unknown mount option 'wait'/],
    ['wait=soon', /wait=soon: give a duration/],
    ['wait=0s', /give a duration/],
    ['uid=me', /uid=me: give a number/],
    ['gid=-1', /gid=-1: give a number/],
    ['uid=4294967295', /give a number/],
    ['state=here', /give an absolute path/],
  ];
  for (const [list, message] of bad) {
    assert.throws(() => parseMountOptions([list]), { name: 'UsageError', message }, list);
  }
});

test('root mounts for everybody and without set-uid and devices; -o lifts that', () => {
  const { request } = plan({});
  assert.deepEqual([request.allowOther, request.suid, request.dev], [true, false, false]);
  assert.deepEqual([request.exec, request.readOnly], [true, false]);
  const lifted = plan({ options: ['suid,dev,noexec'] }).request;
  assert.deepEqual([lifted.suid, lifted.dev, lifted.exec], [true, true, false]);
});

test('other users mount for themselves unless they ask', () => {
  assert.equal(plan({}, {}, 1000).request.allowOther, false);
  assert.equal(plan({ options: ['allow_other'] }, {}, 1000).request.allowOther, true);
});

test('flags win over -o, which wins over config.json', () => {
  const config: Config = { readOnly: true, mountOptions: 'noexec,wait=5s' };
  assert.equal(plan({}, config).request.readOnly, true);
  assert.equal(plan({ options: ['rw'] }, config).request.readOnly, false);
  assert.equal(plan({ options: ['rw'], readOnly: true }, config).request.readOnly, true);
  const { request } = plan({ options: ['exec'] }, config);
  assert.deepEqual([request.exec, request.waitMs], [true, 5_000]);
});

test('the mountpoint comes from the command line, else from config.json', () => {
  const config = { mountpoint: '/configured' };
  const from = (mountpoint: string | undefined): string =>
    planMount({ mountpoint, flags: {}, config, uid: 0 }).request.mountpoint;
  assert.equal(from('/typed'), '/typed');
  assert.equal(from(undefined), '/configured');
  const nowhere = { mountpoint: undefined, flags: {}, config: {}, uid: 0 };
  assert.throws(() => planMount(nowhere), { name: 'UsageError' });
});

test('options without effect are accepted, checked, and named', () => {
  const flags = { token: 't', http: '127.0.0.1', copies: '2', cacheSize: '10G' };
  assert.deepEqual(plan(flags).withoutEffect, ['--token', '--http', '--copies']);
  assert.deepEqual(plan({}).withoutEffect, []);
});

test('what a flag sets for good goes to config.json under its own key', () => {
  const flags = {
    listen: '0.0.0.0:7480',
    peerListen: '[::]:0',
    advertise: 'wren.example',
    insecure: true,
    cacheSize: '10G',
  };
  assert.deepEqual(plan(flags).settings, flags);
  assert.deepEqual(plan({ join: 'host', name: 'two', copies: '2' }).settings, {});
});

test('a line in fstab says insecure among its options', () => {
  assert.deepEqual(plan({ options: ['noauto,insecure'] }).settings, { insecure: true });
});

test('values that cannot be meant are wrong usage', () => {
  const bad: readonly MountFlags[] = [
    { copies: '0' },
    { copies: 'two' },
    { cacheSize: 'big' },
    { listen: 'a b' },
    { listen: 'host:99999' },
    { peerListen: ':7481' },
    { join: '' },
    { join: 'host:' },
    { advertise: 'host:7481' },
    { advertise: '[fe80::1]:1' },
    { http: '::1:80' },
    { driver: 'navite' },
    { name: '../x' },
    { name: '' },
  ];
  for (const flags of bad) {
    assert.throws(() => plan(flags), { name: 'UsageError' }, JSON.stringify(flags));
  }
});

test('addresses may be names, IPv4 and bracketed IPv6, with or without a port', () => {
  for (const listen of ['host', 'host:7480', '10.0.0.1:0', '[::1]', '[fe80::1]:7480']) {
    assert.deepEqual(plan({ listen }).settings, { listen });
  }
});

test('what is advertised is a host, with or without brackets', () => {
  for (const advertise of ['host', '10.0.0.1', 'fd00::1', '[fd00::1]']) {
    assert.deepEqual(plan({ advertise }).settings, { advertise });
  }
});

test('a request crosses the control socket unchanged', () => {
  const { request } = plan({ options: ['ro,wait=2s,uid=5'] });
  assert.deepEqual(decodeMountRequest(JSON.parse(JSON.stringify(request))), request);
});

test('a malformed request is refused', () => {
  for (const body of [undefined, 'x', {}, { mountpoint: '' }, { mountpoint: '/m', waitMs: 'x' }]) {
    assert.throws(() => decodeMountRequest(body), { code: 'EINVAL' });
  }
});
