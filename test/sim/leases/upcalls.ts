/** Requests of a kernel to its mount, and their answers. */
import type { Ino } from '../../../src/common/ids.ts';
import type { Attr, Content, Entry, Reply } from './messages.ts';

export interface Answer {
  readonly error?: 'ENOENT' | 'EEXIST' | 'ESTALE' | 'EIO';
  readonly entry?: Entry;
  readonly entryMs?: number;
  readonly attr?: Attr | undefined;
  readonly attrMs?: number;
  readonly content?: Content;
  readonly fh?: number;
  readonly keepCache?: boolean;
  readonly ino?: Ino;
  /** Sizes of the file after a write. */
  readonly size?: number;
  readonly names?: Reply['names'];
  readonly grantTtl?: number;
}

type Named = { readonly dir: Ino; readonly name: number };

export type UpcallBody =
  | ({ readonly kind: 'lookup' } & Named)
  | { readonly kind: 'getattr'; readonly ino: Ino }
  | { readonly kind: 'readdir'; readonly dir: Ino }
  | { readonly kind: 'open'; readonly ino: Ino; readonly write: boolean }
  | { readonly kind: 'read'; readonly ino: Ino; readonly page: number; readonly fh: number }
  | {
      readonly kind: 'write';
      readonly ino: Ino;
      readonly page: number;
      readonly content: Content;
      readonly fh: number;
      /** Past the pages. */
      readonly isDirect: boolean;
      readonly isStore: boolean;
    }
  | { readonly kind: 'flush'; readonly ino: Ino; readonly fh: number }
  | { readonly kind: 'release'; readonly ino: Ino; readonly fh: number }
  | ({ readonly kind: 'make' } & Named)
  | ({ readonly kind: 'remove'; readonly expects: Ino } & Named)
  | ({
      readonly kind: 'rename';
      readonly newDir: Ino;
      readonly newName: number;
      readonly expects: Ino | 0;
    } & Named)
  | { readonly kind: 'link'; readonly ino: Ino; readonly newDir: Ino; readonly newName: number }
  | { readonly kind: 'setattr'; readonly ino: Ino }
  /** Of no program: what an evicted session has left is published (C15). */
  | { readonly kind: 'republish'; readonly ino: Ino };

export type Upcall = UpcallBody & {
  answer?: (answer: Answer) => void;
  kernelEpoch?: number;
  /** What a file is that was made and not opened yet. */
  made?: Answer;
};

export function told(upcall: Upcall): string {
  const { kind } = upcall;
  const target =
    'ino' in upcall ? upcall.ino : `${upcall.dir}/${'name' in upcall ? upcall.name : ''}`;
  return `${kind} ${target}${'page' in upcall ? `.${upcall.page}` : ''}`;
}
