/**
 * Names, symlink targets and xattrs are bytes on the wire and in keys, latin1 strings (one char a
 * byte) inside JS, and UTF-8 or `{"b64": ...}` in JSON.
 */
export function nameToBytes(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}

export function nameFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
