/** What the crash writer writes. */
export const CRASH_FILES = 6;
export const CRASH_RECORDS = 1_500;
export const RECORD_BYTES = 4096;

/** 4 KiB that all say `sequence`. */
export function record(sequence: number): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  for (let at = 0; at < RECORD_BYTES; at += 8) bytes.writeDoubleLE(sequence, at);
  return bytes;
}

/** The sequence a record says, 0 for none. @throws Error when it is torn */
export function sequenceOf(bytes: Buffer): number {
  const sequence = bytes.readDoubleLE(0);
  if (!bytes.equals(record(sequence))) throw new Error(`a torn record, ${sequence} at its start`);
  return sequence;
}
