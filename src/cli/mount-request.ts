/** What crosses the control socket: a mount request, an address to listen on. */
import type { Address } from '../common/address.ts';
import { FsError } from '../common/errno.ts';
import { asIno, type Ino } from '../common/ids.ts';
import type { MountRequest } from '../mount/mounted.ts';

type Fields = ReadonlyMap<string, unknown>;

export function fieldsOf(body: unknown): Fields {
  if (typeof body !== 'object' || body === null) throw new FsError('EINVAL', 'no JSON object');
  return new Map(Object.entries(body));
}

export function textField(fields: Fields, name: string): string {
  const value = fields.get(name);
  if (typeof value === 'string' && value !== '') return value;
  throw new FsError('EINVAL', `the request lacks "${name}"`);
}

function numberField(fields: Fields, name: string): number | undefined {
  const value = fields.get(name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new FsError('EINVAL', `"${name}" of the request is no number`);
}

/** @throws FsError EINVAL */
export function decodeIno(body: unknown): Ino {
  return asIno(numberField(fieldsOf(body), 'ino') ?? 0);
}

/** @throws FsError EINVAL */
export function decodeAddress(body: unknown): Address {
  const fields = fieldsOf(body);
  return { host: textField(fields, 'host'), port: numberField(fields, 'port') ?? 0 };
}

/** @throws FsError EINVAL */
export function decodeMountRequest(body: unknown): MountRequest {
  const fields = fieldsOf(body);
  const flag = (name: string): boolean => fields.get(name) === true;
  return {
    mountpoint: textField(fields, 'mountpoint'),
    readOnly: flag('readOnly'),
    suid: flag('suid'),
    dev: flag('dev'),
    exec: flag('exec'),
    allowOther: flag('allowOther'),
    waitMs: numberField(fields, 'waitMs'),
    uid: numberField(fields, 'uid'),
    gid: numberField(fields, 'gid'),
  };
}
