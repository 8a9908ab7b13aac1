/**
 * Why requests of the kernel wait, in words for people and in fields for programs. What is known of
 * each comes in; nothing is asked here.
 */
import {
  type Blocker,
  isAboutName,
  type Subject,
  seconds,
  type WaitingRequest,
} from '../../common/core/waiting.ts';

/** What a request waits for. */
export type Cause =
  /** An answer. `answers`: to what it was asked meanwhile, so it works on this one. */
  | { readonly kind: 'metaserver'; readonly ms: number; readonly answers: boolean }
  /** `more` are in the way and not named. None at all: this machine gives the lease up itself. */
  | { readonly kind: 'lease'; readonly blockers: readonly Blocker[]; readonly more: number }
  | { readonly kind: 'home'; readonly node: string }
  | { readonly kind: 'disk' }
  /** What was begun on this machine before, be it on its disk or with its kernel. */
  | { readonly kind: 'here' };

/** Machines named in one sentence. */
const NAMED_MAX = 3;
export function waitingRequest(subject: Subject, cause: Cause): WaitingRequest {
  const { ino, ms, op, path } = subject;
  const blockers = cause.kind === 'lease' ? cause.blockers : [];
  const whom = cause.kind === 'home' ? `peer ${cause.node}` : cause.kind;
  return { op, ms, ino, path, for: whom, why: sentence(subject, cause), blockers };
}

function sentence(subject: Subject, cause: Cause): string {
  switch (cause.kind) {
    case 'metaserver':
      return cause.answers
        ? 'the metaserver has not done it yet'
        : `the metaserver has not answered for ${seconds(cause.ms)}`;
    case 'home':
      return `home of the file "${cause.node}" has not answered`;
    case 'disk':
      return 'the disk of this machine has not answered';
    case 'here':
      return 'this machine has not finished what was begun before';
    case 'lease':
      return leaseSentence(subject, cause.blockers, cause.more);
  }
}

function leaseSentence(subject: Subject, blockers: readonly Blocker[], more: number): string {
  if (blockers.length === 0) return 'this machine is giving it up to another one first';
  const named = blockers.slice(0, NAMED_MAX).map((blocker) => blockerText(subject, blocker));
  const others = blockers.length - named.length + more;
  return [...named, ...(others === 0 ? [] : [`${others} more are in the way`])].join('; ');
}

function blockerText({ ino, op }: Subject, blocker: Blocker): string {
  const { because, homes, ms, node, own } = blocker;
  const who = own ? 'this machine' : `machine "${node}"`;
  const isIt = blocker.ino === ino && !isAboutName(op);
  const what = isIt ? 'it' : `inode ${blocker.ino}`;
  switch (because) {
    case 'holds':
      return isIt ? `${who} has not given it up` : `${who} has not given up ${what}`;
    case 'earlier':
      return `${who} waits for ${what} and comes first`;
    case 'unsettled':
      return `the metaserver was restarted, and ${who} has not said what it holds`;
    case 'evicted':
      return `${who} was silent for too long; its leases fall ${fallText(homes, ms)}`;
  }
}

function fallText(homes: readonly string[], ms: number): string {
  const parts = [
    ...(ms === 0 ? [] : [`in ${seconds(ms)}`]),
    ...homes.map((home) => `when "${home}" has confirmed it`),
  ];
  return parts.length === 0 ? 'now' : parts.join(' and ');
}
