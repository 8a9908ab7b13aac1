/**
 * What a workload does to files, and what a verifier expects of it. One operation touches one
 * name (rename: two), changes are fsynced before they count, so each acknowledged one must
 * survive any crash; one whose outcome is unknown may have happened or not.
 */
export type Operation =
  | { readonly kind: 'write'; readonly name: string; readonly tag: number; readonly length: number }
  | {
      readonly kind: 'replace';
      readonly name: string;
      readonly tag: number;
      readonly length: number;
    }
  | {
      readonly kind: 'append';
      readonly name: string;
      readonly tag: number;
      readonly length: number;
    }
  | {
      readonly kind: 'overwrite';
      readonly name: string;
      readonly tag: number;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: 'truncate'; readonly name: string; readonly length: number }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'mkdir'; readonly name: string };

/** A line of the workload's log, which lies outside the filesystem under test. */
export type LogLine =
  | { readonly id: number; readonly begin: Operation }
  | { readonly id: number; readonly end: 'ok' | string; readonly ms: number };

/** Bytes that tell which operation wrote them, at any alignment. */
export function pattern(tag: number, length: number): Buffer {
  const unit = Buffer.from(`<${tag}:${(tag * 2654435761) >>> 0}>`);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += unit.length) unit.copy(bytes, at);
  return bytes;
}

/** What a directory of the workload holds: bytes of files, undefined for directories. */
export type Model = Map<string, Buffer | undefined>;

/** Applies an acknowledged operation. */
export function apply(model: Model, op: Operation): void {
  const before = model.get(op.name) ?? Buffer.alloc(0);
  switch (op.kind) {
    case 'write':
    case 'replace':
      model.set(op.name, pattern(op.tag, op.length));
      return;
    case 'append':
      model.set(op.name, Buffer.concat([before, pattern(op.tag, op.length)]));
      return;
    case 'overwrite': {
      const after = Buffer.alloc(Math.max(before.length, op.offset + op.length));
      before.copy(after);
      pattern(op.tag, op.length).copy(after, op.offset);
      model.set(op.name, after);
      return;
    }
    case 'truncate': {
      const after = Buffer.alloc(op.length);
      before.copy(after);
      model.set(op.name, after);
      return;
    }
    case 'rename':
      model.set(op.to, model.get(op.name));
      model.delete(op.name);
      return;
    case 'unlink':
      model.delete(op.name);
      return;
    case 'mkdir':
      model.set(op.name, undefined);
  }
}

/** The names an operation may have touched. */
export function touched(op: Operation): string[] {
  return op.kind === 'rename' ? [op.name, op.to] : [op.name];
}
