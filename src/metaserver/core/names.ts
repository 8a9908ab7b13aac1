import { NAME_BYTES_MAX } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';

/** A name that an operation adds, removes or looks up: one byte a char. */
function checkBytes(name: string): void {
  if (name === '') throw new FsError('ENOENT', 'a name is empty');
  if (name.length > NAME_BYTES_MAX) {
    throw new FsError('ENAMETOOLONG', `a name has ${name.length} bytes, ${NAME_BYTES_MAX} fit`);
  }
  if (name.includes('/') || name.includes('\0')) {
    throw new FsError('EINVAL', 'a name holds a slash or a zero byte');
  }
}

export function checkLookupName(name: string): void {
  checkBytes(name);
}

/** @throws FsError EEXIST for '.' and '..' */
export function checkNewName(name: string): void {
  checkBytes(name);
  if (name === '.' || name === '..') throw new FsError('EEXIST', `'${name}' is always there`);
}

/** @throws FsError EINVAL for '.' and '..' */
export function checkOldName(name: string): void {
  checkBytes(name);
  if (name === '.' || name === '..') throw new FsError('EINVAL', `'${name}' cannot be moved`);
}
