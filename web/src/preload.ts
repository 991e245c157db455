/** The voxels of the case that will probably be opened next, fetched while nobody waits. */

import * as api from "./api";

/** Bytes of a volume above which it is not fetched ahead: two such are in memory then. */
export const MOST_BYTES = 256 << 20;

export class Preload {
  #id: string | null = null;
  #bytes: Promise<ArrayBuffer> | null = null;
  #abort = new AbortController();

  /** Fetch the voxels of a case; those of another one are forgotten. */
  start(one: api.Case): void {
    if (one.id === this.#id || sizeOf(one) > MOST_BYTES) return;
    this.forget();
    this.#id = one.id;
    this.#abort = new AbortController();
    this.#bytes = api.volume(one.id, () => undefined, this.#abort.signal, "low");
    this.#bytes.catch(() => {
      if (this.#id === one.id) this.forget(); // it is fetched again when it is opened
    });
  }

  /** Return what was fetched of a case and forget it here; null where that is nothing. */
  take(id: string): Promise<ArrayBuffer> | null {
    if (id !== this.#id) return null;
    const bytes = this.#bytes;
    this.#id = this.#bytes = null;
    return bytes;
  }

  forget(): void {
    if (this.#id === null) return;
    this.#id = this.#bytes = null;
    this.#abort.abort();
  }
}

/** Return about how many bytes a case's voxels have on their way. */
function sizeOf({ shape: [z, y, x], channels }: api.Case): number {
  return z * y * x * (channels === 3 ? 3 : 2);
}
