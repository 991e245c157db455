/**
 * What was marked while there was no connection, kept in the browser's database until the server has recorded it.
 *
 * A tab keeps one record a session: its events, oldest first, and how many events the server had when they were made,
 * from which it is told later which of them have arrived after all (`unrecorded`). A tab holds a lock of its own as
 * long as it lives; what tabs that are gone have left is taken over by whoever opens the session next.
 */

import type { Event } from "./api";

/** Events that were not recorded when the log had `known` events. */
export interface Part {
  readonly known: number;
  readonly events: readonly Event[];
}

interface Entry {
  readonly session: string;
  readonly tab: string;
  readonly case: string;
  readonly parts: readonly Part[];
}

/** A case with marks that a closed tab has left. */
export interface Left {
  readonly session: string;
  readonly case: string;
  readonly events: readonly Event[];
}

const DATABASE = "segmend";
const ENTRIES = "unsent";

export class Unsent {
  readonly #tab = [...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join("");
  readonly #database: Promise<IDBDatabase | null>;
  #work: Promise<void> = Promise.resolve(); // one change after the other
  #changes = 0;
  /** False while something waits that a closed tab would lose. */
  safe = true;

  constructor() {
    this.#database = open();
    // Held for good, so that other tabs know that this one lives.
    locks()
      ?.request(lockOf(this.#tab), () => new Promise<never>(() => undefined))
      .catch(() => undefined);
  }

  /** Keep what waits for one session; nothing is kept of a session for which nothing waits. */
  save(session: string, of: string, parts: readonly Part[]): void {
    const some = parts.some(({ events }) => events.length > 0);
    if (!some && this.#changes === 0) return; // nothing was ever kept
    this.safe = !some;
    const change = (this.#changes += 1);
    this.#then(async (database) => {
      const key = [session, this.#tab];
      await finished(database, (entries) =>
        some ? entries.put({ session, tab: this.#tab, case: of, parts } satisfies Entry) : entries.delete(key),
      );
      if (change === this.#changes) this.safe = true;
    });
  }

  /** Take over what this tab, and those that are gone, have left of a session. */
  async adopt(session: string): Promise<readonly Part[]> {
    const left = (await this.#entries()).filter((one) => one.session === session);
    const parts = left.flatMap((one) => one.parts);
    if (left.length === 0) return [];
    this.#changes += 1;
    this.#then((database) =>
      finished(database, (entries) => {
        for (const { tab } of left) entries.delete([session, tab]);
        entries.put({ session, tab: this.#tab, case: left[0].case, parts } satisfies Entry);
      }),
    );
    await this.#work;
    return parts;
  }

  /** Return the sessions for which closed tabs have left something. */
  async left(): Promise<readonly Left[]> {
    const entries = (await this.#entries()).filter(({ tab }) => tab !== this.#tab);
    const sessions = [...new Set(entries.map(({ session }) => session))];
    return sessions.map((session) => {
      const own = entries.filter((one) => one.session === session);
      return { session, case: own[0].case, events: own.flatMap(({ parts }) => parts.flatMap(({ events }) => events)) };
    });
  }

  /** Forget what waits for a session that is gone. */
  async forget(session: string): Promise<void> {
    for (const { tab } of (await this.#entries()).filter((one) => one.session === session)) {
      this.#then((database) => finished(database, (entries) => entries.delete([session, tab])));
    }
    this.safe = true;
    await this.#work;
  }

  /** Return the entries of this tab and of those that are gone. */
  async #entries(): Promise<readonly Entry[]> {
    const database = await this.#database;
    if (database === null) return [];
    await this.#work;
    const all = await new Promise<Entry[]>((resolve) => {
      const asked = database.transaction(ENTRIES).objectStore(ENTRIES).getAll() as IDBRequest<Entry[]>;
      asked.onsuccess = () => {
        resolve(asked.result);
      };
      asked.onerror = () => {
        resolve([]);
      };
    });
    const held = new Set((await locks()?.query())?.held?.map(({ name }) => name));
    return all.filter(({ tab }) => tab === this.#tab || !held.has(lockOf(tab)));
  }

  #then(change: (database: IDBDatabase) => Promise<void>): void {
    this.#work = this.#work
      .then(async () => {
        const database = await this.#database;
        if (database !== null) await change(database);
      })
      .catch((error: unknown) => {
        console.warn("Marks could not be kept in the browser:", error);
      });
  }
}

const lockOf = (tab: string): string => `segmend-tab-${tab}`;
/** Pages that came over an unprotected network have no locks. */
const locks = (): LockManager | undefined => (navigator as { locks?: LockManager }).locks;

/** Return the database, null where the browser has none for this page. */
function open(): Promise<IDBDatabase | null> {
  return new Promise((resolve) => {
    try {
      const asked = indexedDB.open(DATABASE, 1);
      asked.onupgradeneeded = () => {
        asked.result.createObjectStore(ENTRIES, { keyPath: ["session", "tab"] });
      };
      asked.onsuccess = () => {
        resolve(asked.result);
      };
      asked.onerror = () => {
        resolve(null);
      };
    } catch {
      resolve(null);
    }
  });
}

/** Change entries, and return when that is done. */
function finished(database: IDBDatabase, change: (entries: IDBObjectStore) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(ENTRIES, "readwrite");
    transaction.oncomplete = () => {
      resolve();
    };
    transaction.onabort = transaction.onerror = () => {
      reject(transaction.error ?? new Error("the browser refused"));
    };
    change(transaction.objectStore(ENTRIES));
  });
}
