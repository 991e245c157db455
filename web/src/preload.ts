/** The voxels of the case that will probably be opened next, fetched while nobody waits. */

import type * as api from "./api";
import { type Coming, fetchVoxels } from "./voxels";

/** Bytes of a volume above which it is not fetched ahead: two such are in memory then. */
export const MOST_BYTES = 256 << 20;

export interface Fetched {
  readonly coming: Promise<Coming>;
  readonly abort: AbortController;
}

export class Preload {
  #id: string | null = null;
  #fetched: Fetched | null = null;

  /** Fetch the voxels of a case; those of another one are forgotten. */
  start(one: api.Case): void {
    if (one.id === this.#id || sizeOf(one) > MOST_BYTES) return;
    this.forget();
    const abort = new AbortController();
    const coming = fetchVoxels(one.id, { channel: null, signal: abort.signal, priority: "low" });
    this.#id = one.id;
    this.#fetched = { coming, abort };
    coming
      .then(({ whole }) => whole)
      .catch(() => {
        if (this.#id === one.id) this.forget(); // it is fetched again when it is opened
      });
  }

  /** Return what was fetched of a case and forget it here; null where that is nothing. */
  take(id: string): Fetched | null {
    if (id !== this.#id) return null;
    const fetched = this.#fetched;
    this.#id = this.#fetched = null;
    return fetched;
  }

  forget(): void {
    const fetched = this.#fetched;
    this.#id = this.#fetched = null;
    fetched?.abort.abort();
  }
}

/** Return about how many bytes a case's voxels have on their way. */
function sizeOf({ shape: [z, y, x], channels }: api.Case): number {
  return z * y * x * (channels === 3 ? 3 : 2);
}
