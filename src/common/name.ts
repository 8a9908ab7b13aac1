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

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** For JSON: text where the bytes are valid UTF-8, `{b64}` otherwise. */
export function nameToJson(name: string): string | { b64: string } {
  const bytes = nameToBytes(name);
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { b64: bytes.toString('base64') };
  }
}

export function nameFromUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
