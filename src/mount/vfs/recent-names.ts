import { BoundedMap } from '../../common/core/bounded-map.ts';
import { asIno, type Ino, ROOT_INO } from '../../common/ids.ts';

const NAMES_MAX = 8192;
/** A path that is deeper is shown from there on. */
const DEPTH_MAX = 64;

/**
 * What the last lookups found, bounded: hints only. A removal names the inode it expects, and the
 * metaserver keeps any other one alive until told that it is not open here.
 */
export class RecentNames {
  readonly #names = new BoundedMap<string, Ino>(NAMES_MAX);

  get(parent: Ino, name: string): Ino | undefined {
    return this.#names.get(`${parent}/${name}`);
  }

  set(parent: Ino, name: string, ino: Ino): void {
    const key = `${parent}/${name}`;
    this.#names.delete(key);
    this.#names.set(key, ino);
  }

  delete(parent: Ino, name: string): void {
    this.#names.delete(`${parent}/${name}`);
  }

  /**
   * Tells where an inode was last found, from the root of the mount on (empty: the root itself);
   * `...` stands for what is not known. Goes through all names once, so it is for people only.
   */
  paths(): (ino: number) => string {
    const places = new Map<number, { readonly parent: Ino; readonly name: string }>();
    for (const key of this.#names.keys()) {
      const ino = this.#names.get(key);
      const slash = key.indexOf('/');
      const parent = asIno(Number(key.slice(0, slash)));
      if (ino !== undefined) places.set(ino, { parent, name: key.slice(slash + 1) });
    }
    return (ino) => {
      const names: string[] = [];
      let at = ino;
      while (at !== ROOT_INO) {
        const place = places.get(at);
        names.unshift(place?.name ?? '...');
        if (place === undefined || names.length > DEPTH_MAX) break;
        at = place.parent;
      }
      return names.join('/');
    };
  }
}
