/** Leases as both sides name them; docs/PROTOCOL.md has the rules. */

/**
 * `shared` lets a session remember an inode: attributes, data and symlink target of a file, names
 * and listing of a directory. `exclusive` lets it change a file; one session at most has it, and
 * nobody else has anything then.
 */
export type LeaseKind = 'shared' | 'exclusive';

/** What a recalled session may keep. */
export type Keep = 'nothing' | 'shared';

/** One granted lease. A larger lseq was granted later, whoever got it. */
export interface Grant {
  readonly kind: LeaseKind;
  readonly lseq: number;
}

/** Who has `held` may do what `needed` is for. */
export function covers(held: LeaseKind | undefined, needed: LeaseKind): boolean {
  return held === 'exclusive' || (held === 'shared' && needed === 'shared');
}

/** Two sessions cannot have these at one time. */
export function conflict(one: LeaseKind, other: LeaseKind): boolean {
  return one === 'exclusive' || other === 'exclusive';
}
