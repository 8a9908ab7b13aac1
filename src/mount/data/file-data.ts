/** Chooses the way to a file's bytes: a file belongs to one group all its life. */
import { type Attr, isRegular } from '../../common/attr.ts';
import type { GroupId, Ino } from '../../common/ids.ts';
import type { TaskGroup } from '../../common/lifecycle.ts';
import type { StoreSpace } from '../../peer/chunk-store.ts';
import type { Result } from '../driver/driver.ts';
import type { DataPath } from './data-path.ts';
import type { ClusterView } from './rights.ts';

export interface FileDataOptions {
  readonly view: ClusterView;
  readonly local: DataPath;
  readonly remote: DataPath;
  /** Transfers no request waits for. */
  readonly tasks: TaskGroup;
  space(): StoreSpace;
  chargedBytes(): number;
}

export class FileData {
  readonly #options: FileDataOptions;

  constructor(options: FileDataOptions) {
    this.#options = options;
  }

  of(file: { readonly rg: GroupId }): DataPath {
    const { local, remote, view } = this.#options;
    return view.leads(file.rg) ? local : remote;
  }

  isLocal(file: { readonly rg: GroupId }): boolean {
    return this.#options.view.leads(file.rg);
  }

  /** The machine that keeps a file; undefined: this one. */
  homeName(file: { readonly rg: GroupId }): string | undefined {
    if (this.isLocal(file)) return undefined;
    const { view } = this.#options;
    const primary = view.group(file.rg)?.primary;
    return (primary && view.map.peers.get(primary)?.name) ?? 'unknown';
  }

  /** What an earlier process has left of it will never be published. */
  forget(left: { readonly ino: Ino; readonly isLocal: boolean }): void {
    const { local, remote } = this.#options;
    (left.isLocal ? local : remote).forget(left);
  }

  /** Allocated 512-byte units of any inode. */
  blocks(attr: Attr): Result<number> {
    if (!isRegular(attr.mode) || attr.size === 0) return 0;
    return this.of(attr).blocks(attr);
  }

  space(): StoreSpace {
    return this.#options.space();
  }

  /** Accepted and not known to be at its home, beyond what is published, of all files of others. */
  get chargedBytes(): number {
    return this.#options.chargedBytes();
  }

  /** Waits for transfers no request waits for. */
  settle(): Promise<void> {
    return this.#options.tasks.settle();
  }
}
