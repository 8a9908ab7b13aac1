/** How a mount answers each request of its kernel. */
import type { Ino } from '../../../src/common/ids.ts';
import type { Attr, Content, Entry, Op, Reply } from './messages.ts';
import type { Mount } from './mount.ts';
import type { Answer, Upcall } from './upcalls.ts';

/** As in the mount: rule C18. */
const DROPPED_MS = 10;
const AGAIN_MS = 1_000;

type Of<Kind extends Upcall['kind']> = Extract<Upcall, { readonly kind: Kind }>;

/** It has arrived. */
export function serve(mount: Mount, upcall: Upcall): void {
  switch (upcall.kind) {
    case 'lookup':
      lookup(mount, upcall);
      break;
    case 'getattr':
      getattr(mount, upcall);
      break;
    case 'readdir':
      readdir(mount, upcall);
      break;
    case 'open':
      if (!waitsForRemoval(mount, upcall.ino, upcall)) {
        use(mount, upcall.ino, upcall.write ? 'exclusive' : 'shared', upcall);
      }
      break;
    case 'read':
      if (mount.handles.get(upcall.fh) === undefined) mount.answer(upcall, { error: 'EIO' });
      else use(mount, upcall.ino, 'shared', upcall);
      break;
    case 'write':
      if (mount.handles.get(upcall.fh) === undefined) mount.answer(upcall, { error: 'EIO' });
      else if (upcall.isStore) accept(mount, upcall);
      else use(mount, upcall.ino, 'exclusive', upcall);
      break;
    case 'flush':
      if (mount.handles.get(upcall.fh) === undefined) mount.answer(upcall, { error: 'EIO' });
      else if (!mount.publisher.has(upcall.ino)) mount.answer(upcall, {});
      else use(mount, upcall.ino, 'exclusive', upcall);
      break;
    case 'release':
      release(mount, upcall);
      break;
    case 'republish':
      use(mount, upcall.ino, 'exclusive', upcall);
      break;
    case 'link':
    case 'make':
    case 'remove':
    case 'rename':
    case 'setattr':
      change(mount, upcall);
  }
}

/** It is to be changed by the metaserver. */
function change(mount: Mount, upcall: Of<'make' | 'remove' | 'rename' | 'link' | 'setattr'>): void {
  switch (upcall.kind) {
    case 'make':
      make(mount, upcall);
      break;
    case 'remove':
    case 'rename':
      remove(mount, upcall);
      break;
    case 'link': {
      const { ino, newDir, newName } = upcall;
      requestChange(mount, upcall, { op: 'link', ino, newDir, newName });
      break;
    }
    case 'setattr':
      if (mount.handles.mayWrite(upcall.ino)) use(mount, upcall.ino, 'exclusive', upcall);
      else setattr(mount, upcall);
  }
}

/** U2. @returns whether it is not opened now */
function waitsForRemoval(mount: Mount, ino: Ino, upcall: Of<'open'> | Of<'make'>): boolean {
  if (mount.gone.has(ino)) mount.answer(upcall, { error: 'ESTALE' });
  else if (mount.removing.has(ino)) {
    mount.world.tally.count('U2 open waits for a removal');
    mount.waitingOpens.push(upcall);
  } else return false;
  return true;
}

function use(mount: Mount, ino: Ino, need: 'shared' | 'exclusive', upcall: Upcall): void {
  if (mount.link.isValid && mount.holder.use(ino, need, upcall)) proceed(mount, upcall);
  else if (!mount.link.isValid) {
    // The end of the lease is noticed now, if not before.
    mount.link.expire();
    if (mount.holder.use(ino, need, upcall)) proceed(mount, upcall);
    else mount.world.tally.count('parked without a session');
  } else mount.world.tally.count('C8 parked');
}

/** A process that was stopped may get here before it has looked at the clock. */
function isOutOfTime(mount: Mount, upcall: Upcall): boolean {
  const ino = 'ino' in upcall ? upcall.ino : upcall.made?.ino;
  if (ino === undefined) return false;
  mount.world.tally.count('out of time at the last moment');
  mount.link.expire();
  mount.holder.done(ino);
  if (upcall.kind === 'make') reopen(mount, upcall);
  else serve(mount, upcall);
  return true;
}

/** It relies on its lease now. */
export function proceed(mount: Mount, upcall: Upcall): void {
  if (!mount.link.isValid && isOutOfTime(mount, upcall)) return;
  switch (upcall.kind) {
    case 'open': {
      if (waitsForRemoval(mount, upcall.ino, upcall)) {
        mount.holder.done(upcall.ino);
        break;
      }
      const fh = mount.handles.open(upcall.ino, upcall.write, mount.generation);
      const keepCache = mount.ttlMs(upcall.ino) > 0;
      finish(mount, upcall.ino, upcall, { fh, keepCache });
      break;
    }
    case 'read':
      read(mount, upcall);
      break;
    case 'write':
      accept(mount, upcall, () => {
        mount.holder.done(upcall.ino);
        mount.work();
      });
      break;
    case 'flush':
      mount.publisher.publish(upcall.ino, () => finish(mount, upcall.ino, upcall, {}));
      break;
    case 'getattr':
      attrUnderLease(mount, upcall);
      break;
    case 'setattr':
      mount.relying.add(upcall);
      setattr(mount, upcall);
      break;
    case 'make':
      openMade(mount, upcall, upcall.made ?? {});
      break;
    case 'republish':
      mount.left.publish(upcall.ino, () => {
        mount.holder.done(upcall.ino);
        mount.work();
      });
      break;
    case 'link':
    case 'lookup':
    case 'readdir':
    case 'release':
    case 'remove':
    case 'rename':
      throw new Error(`${upcall.kind} does not wait for a lease`);
  }
}

/** A store was made while the page was there, so under the lease: it waits for none. */
function accept(mount: Mount, upcall: Of<'write'>, then: () => void = () => {}): void {
  const { ino, page, content, isDirect, isStore } = upcall;
  const { parts, queue } = mount.world;
  if (!mount.publisher.has(ino)) parts.unsettle(mount.kernel, ino);
  mount.publisher.accept(ino, page, content, mount.holder.lseqOf(ino));
  mount.pages.get(ino)?.delete(page);
  let isAnswered = false;
  const answer = (): void => {
    if (isAnswered) return;
    isAnswered = true;
    // It may be lost already: in the mount close(2) says so.
    const isLate = !isStore && !mount.link.isValid;
    const size = mount.publisher.sizes.get(ino) ?? 0;
    mount.answer(upcall, isLate ? { error: 'EIO' } : { size });
    then();
  };
  const copy = mount.copy(ino);
  const isOld = isDirect ? parts.writtenPast(copy) : copy.hasReadAgain(queue.nowMs, AGAIN_MS);
  if (isStore || !isOld) answer();
  else {
    mount.world.tally.count(isDirect ? 'C18 written past' : 'C18 read again');
    const { holder } = mount;
    const answerHere = (): void => {
      if (holder === mount.holder) answer();
    };
    mount.tellKernel(() => {
      mount.kernel.forgetData(ino, () => mount.node.run(answerHere), page, page + 1);
    });
    queue.after(DROPPED_MS, () => mount.node.run(answerHere));
  }
}

function finish(mount: Mount, ino: Ino, upcall: Upcall, answer: Answer): void {
  mount.answer(upcall, answer);
  mount.holder.done(ino);
  mount.work();
}

function read(mount: Mount, upcall: Of<'read'>): void {
  const { ino, page } = upcall;
  mount.copy(ino).reads();
  const known = mount.publisher.page(ino, page) ?? mount.pages.get(ino)?.get(page);
  if (known !== undefined) {
    mount.world.tally.count('read from memory');
    finish(mount, ino, upcall, { content: known });
    return;
  }
  const { expiries, generation } = mount;
  const size = mount.publisher.sizes.get(ino);
  mount.publisher.call(ino, page, undefined, 0, (content) => {
    if (generation !== mount.generation) return;
    mount.link.expire();
    if (expiries !== mount.expiries) {
      // The lease ran out meanwhile: somebody may have changed it since the home was read.
      mount.world.tally.count('read once more');
      mount.holder.done(ino);
      serve(mount, upcall);
      mount.work();
      return;
    }
    const local = mount.publisher.page(ino, page) ?? content;
    // A write of this mount may have passed it on its way.
    if (mount.holds(ino) && mount.publisher.sizes.get(ino) === size) {
      const pages = mount.pages.get(ino) ?? new Map<number, Content>();
      mount.pages.set(ino, pages.set(page, local));
    }
    finish(mount, ino, upcall, { content: local });
  });
}

function entryAnswer(mount: Mount, entry: Entry, entryMs: number, attr: Attr | undefined): Answer {
  if (entry.ino === 0) return { entry, entryMs };
  const shown = attr === undefined ? undefined : mount.withLocal(entry.ino, attr);
  return { entry, entryMs, attr: shown, attrMs: 0 };
}

/** Worked out when it is answered: the lease may have been another one when the name was learned. */
function nameMs(mount: Mount, dir: Ino, name: number, entry: Entry): number {
  const isNamed = mount.holds(dir) && mount.names.get(dir)?.get(name)?.ino === entry.ino;
  return isNamed ? mount.epochs.tell(dir, name, mount.ttlMs(dir)) : 0;
}

function lookup(mount: Mount, upcall: Of<'lookup'>): void {
  const { dir, name } = upcall;
  const known = mount.holds(dir) ? mount.names.get(dir)?.get(name) : undefined;
  if (known !== undefined) {
    const attr = known.ino !== 0 && mount.holds(known.ino) ? mount.attrs.get(known.ino) : undefined;
    if (known.ino === 0 || attr !== undefined) {
      mount.world.tally.count('lookup from memory');
      const answer = entryAnswer(mount, known, nameMs(mount, dir, name, known), attr);
      mount.answer(upcall, { ...answer, attrMs: known.ino === 0 ? 0 : mount.attrMs(known.ino) });
      return;
    }
  }
  mount.link.request({ op: 'lookup', dir, name }, (reply) => {
    remember(mount, reply);
    const entry = reply.names[0]?.entry ?? { ino: 0, version: 0 };
    const answer = entryAnswer(mount, entry, nameMs(mount, dir, name, entry), reply.attr);
    const isCurrent = entry.ino !== 0 && mount.isCurrent(entry.ino, reply);
    mount.answer(upcall, { ...answer, attrMs: isCurrent ? mount.attrMs(entry.ino) : 0 });
  });
}

/** Names of a reply are remembered under the lease it brought; else what was known is in doubt. */
function remember(mount: Mount, reply: Reply): void {
  for (const { dir, name, entry } of reply.names) {
    if (mount.isCurrent(dir, reply)) {
      const names = mount.names.get(dir) ?? new Map<number, Entry>();
      mount.names.set(dir, names.set(name, entry));
    } else mount.names.get(dir)?.delete(name);
  }
}

function getattr(mount: Mount, upcall: Of<'getattr'>): void {
  const { ino } = upcall;
  const known = mount.holds(ino) ? mount.attrs.get(ino) : undefined;
  if (known !== undefined) {
    mount.world.tally.count('getattr from memory');
    mount.answer(upcall, { attr: mount.withLocal(ino, known), attrMs: mount.attrMs(ino) });
  } else if (mount.handles.mayWrite(ino)) use(mount, ino, 'exclusive', upcall);
  else askAttr(mount, upcall);
}

function attrUnderLease(mount: Mount, upcall: Of<'getattr'>): void {
  const { ino } = upcall;
  const known = mount.attrs.get(ino);
  if (known === undefined) {
    // It does not count as a user: the metaserver may wait for this lease before it answers.
    askAttr(mount, upcall);
  } else mount.answer(upcall, { attr: mount.withLocal(ino, known), attrMs: mount.attrMs(ino) });
  mount.holder.done(ino);
  mount.work();
}

function askAttr(mount: Mount, upcall: Of<'getattr'>): void {
  const { ino } = upcall;
  mount.link.request({ op: 'getattr', ino }, (reply) => {
    if (reply.attr === undefined) mount.answer(upcall, { error: 'ESTALE' });
    else {
      const attrMs = mount.isCurrent(ino, reply) ? mount.attrMs(ino) : 0;
      mount.answer(upcall, { attr: mount.withLocal(ino, reply.attr), attrMs });
    }
  });
}

function readdir(mount: Mount, upcall: Of<'readdir'>): void {
  const { dir } = upcall;
  mount.link.request({ op: 'readdir', dir }, (reply) => {
    remember(mount, reply);
    const each = reply.names.map(({ name, entry }) => nameMs(mount, dir, name, entry));
    mount.answer(upcall, { names: reply.names, entryMs: Math.min(...each, Infinity) });
  });
}

function release(mount: Mount, upcall: Of<'release'>): void {
  const { ino, fh } = upcall;
  mount.handles.close(fh);
  mount.closedOne(ino);
  mount.answer(upcall, {});
}

/** A change of names or attributes, made by the metaserver. */
function requestChange(
  mount: Mount,
  upcall: Upcall,
  body: Op,
  then: (reply: Reply) => Answer = () => ({}),
): void {
  mount.link.request(body, (reply) => {
    remember(mount, reply);
    for (const dir of new Set(reply.names.map(({ dir }) => dir))) {
      if (!mount.isCurrent(dir, reply)) mount.attrs.delete(dir);
    }
    const answer = { names: reply.names, ...then(reply) };
    if (reply.error !== undefined) mount.answer(upcall, { error: reply.error });
    else if (upcall.kind === 'make' && answer.ino !== undefined) {
      upcall.made = answer;
      use(mount, answer.ino, 'exclusive', upcall);
    } else if (upcall.kind === 'rename') {
      mount.epochs.moved(upcall.dir, upcall.newDir, upcall.newName, () =>
        mount.answer(upcall, answer),
      );
    } else mount.answer(upcall, answer);
  });
}

function make(mount: Mount, upcall: Of<'make'>): void {
  const { dir, name } = upcall;
  requestChange(mount, upcall, { op: 'make', dir, name }, (reply) => {
    if (reply.error !== undefined || reply.ino === 0) return {};
    const entry = reply.names[0]?.entry ?? { ino: 0, version: 0 };
    return { entry, ino: reply.ino };
  });
}

function reopen(mount: Mount, upcall: Of<'make'>): void {
  const ino = upcall.made?.ino;
  if (ino === undefined || waitsForRemoval(mount, ino, upcall)) return;
  use(mount, ino, 'exclusive', upcall);
}

/** Also what was just made is opened under its lease only: it may have been recalled already. */
function openMade(mount: Mount, upcall: Of<'make'>, { ino, ...made }: Answer): void {
  if (ino === undefined) return;
  if (waitsForRemoval(mount, ino, upcall)) {
    mount.holder.done(ino);
    return;
  }
  const fh = mount.handles.open(ino, true, mount.generation);
  const { dir, name } = upcall;
  const entryMs = made.entry === undefined ? 0 : nameMs(mount, dir, name, made.entry);
  finish(mount, ino, upcall, { ...made, entryMs, ino, fh });
}

function remove(mount: Mount, upcall: Of<'remove'> | Of<'rename'>): void {
  const { expects, dir, name } = upcall;
  if (expects !== 0) mount.removing.set(expects, (mount.removing.get(expects) ?? 0) + 1);
  const known = mount.expects(expects);
  const body: Op =
    upcall.kind === 'remove'
      ? { op: 'remove', dir, name, known }
      : { op: 'rename', dir, name, known, newDir: upcall.newDir, newName: upcall.newName };
  requestChange(mount, upcall, body, (reply) => {
    if (reply.gone !== 0) mount.gone.add(reply.gone);
    if (expects !== 0) removed(mount, expects);
    if (reply.kept !== 0) {
      mount.handles.told.add(reply.kept);
      mount.closedOne(reply.kept);
    }
    return {};
  });
}

function removed(mount: Mount, ino: Ino): void {
  const left = (mount.removing.get(ino) ?? 1) - 1;
  if (left > 0) {
    mount.removing.set(ino, left);
    return;
  }
  mount.removing.delete(ino);
  const waiting = mount.waitingOpens;
  mount.waitingOpens = [];
  for (const upcall of waiting) {
    if (upcall.kind === 'open') serve(mount, upcall);
    else if (upcall.kind === 'make') reopen(mount, upcall);
  }
}

function setattr(mount: Mount, upcall: Of<'setattr'>): void {
  const { ino } = upcall;
  requestChange(mount, upcall, { op: 'setattr', ino }, (reply) => {
    const attr = reply.attr === undefined ? undefined : mount.withLocal(ino, reply.attr);
    if (!mount.isCurrent(ino, reply)) mount.attrs.delete(ino);
    if (mount.relying.delete(upcall)) mount.holder.done(ino);
    return { attr, attrMs: mount.isCurrent(ino, reply) ? mount.attrMs(ino) : 0 };
  });
}
