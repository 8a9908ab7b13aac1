/**
 * A small FUSE server that lets the kernel keep everything for ever, for tests of how the kernel is
 * made to forget. Its root holds regular files; each has 4096 bytes and one more a revision, and
 * every byte tells the revision. Requests can be held back, and are counted by opcode.
 */
import { type FuseSession, native } from '../../native/index.ts';
import {
  ATTR_OUT_BYTES,
  ENTRY_OUT_BYTES,
  FOPEN,
  IN_HEADER_BYTES,
  INIT_OUT_BYTES,
  OPCODE,
  OPCODE_NAMES,
  OPEN_OUT_BYTES,
  type OpcodeName,
  OUT_HEADER_BYTES,
} from '../../src/mount/driver/native/abi.ts';

const SLOT_COUNT = 64;
const SLOT_BYTES = 1024 * 1024 + 8192;
const HEADER = OUT_HEADER_BYTES;
const ROOT = 1;
const FIRST_FILE = 2;
const FILE_BYTES = 4096;
const FOR_EVER = 2n ** 40n;
const ENOENT = 2;
const ENOSYS = 38;
/** ASYNC_READ, BIG_WRITES, EXPLICIT_INVAL_DATA. */
const INIT_FLAGS = 0x1 | 0x20 | 0x2000000;
const UNANSWERED = new Set<number>([OPCODE.FORGET, OPCODE.BATCH_FORGET, OPCODE.INTERRUPT]);

interface Request {
  readonly slot: number;
  readonly opcode: number;
  readonly unique: bigint;
  readonly nodeid: number;
}

/** The byte that files are full of. */
function letter(revision: number): string {
  return String.fromCharCode(97 + revision);
}

export class CachingFuse {
  readonly fd: number;
  readonly #session: FuseSession;
  readonly #slots: DataView;
  readonly #reply: DataView;
  readonly #names = new Map<string, number>();
  readonly #counts: Partial<Record<OpcodeName, number>> = {};
  readonly #held: Request[] = [];
  #holding: OpcodeName | undefined;
  #revision = 0;

  /** `onReady`: the kernel has said hello. `onTold`: it learns something of an inode. */
  constructor(options: {
    readonly mountpoint: string;
    onReady(): void;
    onTold(ino: number): void;
    onEnd(errno: number): void;
  }) {
    const { mountpoint } = options;
    this.fd = native.fuseMount({
      mountpoint,
      source: 'caching',
      subtype: 'caching',
      flags: 0,
      options: 'default_permissions',
    });
    this.#session = new native.FuseSession({
      fd: this.fd,
      slotCount: SLOT_COUNT,
      slotBytes: SLOT_BYTES,
      replyBytes: HEADER + 1024 * 1024,
      onRequest: (slot, length) => this.#onRequest(slot, length, options),
      onEnd: (errno) => {
        this.#session.close();
        options.onEnd(errno);
      },
    });
    this.#slots = new DataView(this.#session.slots);
    this.#reply = new DataView(this.#session.reply);
    this.#session.start();
  }

  get counts(): Partial<Record<OpcodeName, number>> {
    return this.#counts;
  }

  get held(): number {
    return this.#held.length;
  }

  /** @returns its inode number */
  create(name: string): number {
    const ino = FIRST_FILE + this.#names.size;
    this.#names.set(name, ino);
    return ino;
  }

  change(): void {
    this.#revision += 1;
  }

  /** Requests with this opcode wait from now on. */
  hold(opcode: OpcodeName): void {
    this.#holding = opcode;
  }

  /** Answers what waits; nothing waits any more. */
  release(): void {
    this.#holding = undefined;
    for (const request of this.#held.splice(0)) {
      this.#answer(request);
      this.#session.releaseSlot(request.slot);
    }
  }

  #onRequest(
    slot: number,
    length: number,
    { onReady, onTold }: { onReady(): void; onTold(ino: number): void },
  ): void {
    const at = slot * SLOT_BYTES;
    const request = {
      slot,
      opcode: this.#slots.getUint32(at + 4, true),
      unique: this.#slots.getBigUint64(at + 8, true),
      nodeid: Number(this.#slots.getBigUint64(at + 16, true)),
    };
    if (length < IN_HEADER_BYTES || UNANSWERED.has(request.opcode)) return;
    if (request.opcode === OPCODE.INIT) {
      this.#init(request);
      onReady();
      return;
    }
    const name = OPCODE_NAMES.get(request.opcode);
    if (name !== undefined) this.#counts[name] = (this.#counts[name] ?? 0) + 1;
    onTold(request.nodeid);
    if (name !== undefined && name === this.#holding) {
      this.#session.keepSlot(slot);
      this.#held.push(request);
    } else this.#answer(request);
  }

  #answer(request: Request): void {
    const payload = this.#payload(request);
    if (payload === undefined) this.#send(request, 0, ENOSYS);
    else this.#send(request, payload);
  }

  /** Fills the reply. @returns its bytes; undefined: nothing of the kind is served */
  #payload(request: Request): number | undefined {
    switch (request.opcode) {
      case OPCODE.LOOKUP:
        return this.#lookup(request);
      case OPCODE.GETATTR:
        this.#reply.setBigUint64(HEADER, FOR_EVER, true);
        this.#reply.setBigUint64(HEADER + 8, 0n, true);
        this.#attr(HEADER + 16, request.nodeid);
        return ATTR_OUT_BYTES;
      case OPCODE.OPEN:
        this.#reply.setBigUint64(HEADER, 0n, true);
        this.#reply.setBigUint64(HEADER + 8, BigInt(FOPEN.KEEP_CACHE), true);
        return OPEN_OUT_BYTES;
      case OPCODE.READ:
        return this.#read(request);
      case OPCODE.FLUSH:
      case OPCODE.RELEASE:
        return 0;
      default:
        return undefined;
    }
  }

  #lookup(request: Request): number {
    const start = request.slot * SLOT_BYTES + IN_HEADER_BYTES;
    const bytes = Buffer.from(this.#session.slots, start, 256);
    const ino = this.#names.get(bytes.toString('latin1', 0, bytes.indexOf(0))) ?? 0;
    new Uint8Array(this.#session.reply).fill(0, HEADER, HEADER + ENTRY_OUT_BYTES);
    this.#reply.setBigUint64(HEADER, BigInt(ino), true);
    this.#reply.setBigUint64(HEADER + 16, FOR_EVER, true);
    this.#reply.setBigUint64(HEADER + 24, FOR_EVER, true);
    if (ino !== 0) this.#attr(HEADER + 40, ino);
    return ENTRY_OUT_BYTES;
  }

  #attr(at: number, ino: number): void {
    const isRoot = ino === ROOT;
    new Uint8Array(this.#session.reply).fill(0, at, at + 88);
    this.#reply.setBigUint64(at, BigInt(ino), true);
    this.#reply.setBigUint64(at + 8, BigInt(isRoot ? 0 : FILE_BYTES + this.#revision), true);
    this.#reply.setBigUint64(at + 32, BigInt(this.#revision), true);
    this.#reply.setUint32(at + 60, isRoot ? 0o040755 : 0o100644, true);
    this.#reply.setUint32(at + 64, 1, true);
  }

  #read(request: Request): number {
    const at = request.slot * SLOT_BYTES + IN_HEADER_BYTES;
    const offset = Number(this.#slots.getBigUint64(at + 8, true));
    const wanted = this.#slots.getUint32(at + 16, true);
    const length = Math.max(0, Math.min(wanted, FILE_BYTES + this.#revision - offset));
    Buffer.from(this.#session.reply, HEADER, length).fill(letter(this.#revision));
    return length;
  }

  #init(request: Request): void {
    const minor = this.#slots.getUint32(request.slot * SLOT_BYTES + IN_HEADER_BYTES + 4, true);
    new Uint8Array(this.#session.reply).fill(0, HEADER, HEADER + INIT_OUT_BYTES);
    this.#reply.setUint32(HEADER, 7, true);
    this.#reply.setUint32(HEADER + 4, minor, true);
    this.#reply.setUint32(HEADER + 8, 128 * 1024, true);
    this.#reply.setUint32(HEADER + 12, INIT_FLAGS, true);
    this.#reply.setUint32(HEADER + 20, 128 * 1024, true);
    this.#send(request, INIT_OUT_BYTES);
  }

  #send(request: Request, payload: number, errno = 0): void {
    this.#reply.setUint32(0, HEADER + payload, true);
    this.#reply.setInt32(4, -errno, true);
    this.#reply.setBigUint64(8, request.unique, true);
    const error = this.#session.send(HEADER + payload);
    // ENOENT: whoever asked was killed meanwhile, or the connection is over.
    if (error !== 0 && error !== ENOENT) throw new Error(`reply refused: ${error}`);
  }
}
