/** How far an upload is, while it is sent and read. */

import type { Sent } from "../api";
import { phrases } from "../phrases";
import type { Store } from "../state";

/** Show how far an upload is until it has been read. */
export async function whileSending<T>(store: Store, text: string, send: (sent: Sent) => Promise<T>): Promise<T> {
  store.set({ loading: { text, fraction: null } });
  try {
    return await send((fraction) => {
      const reading = fraction >= 1;
      store.set({
        loading: { text: reading ? phrases.actions.readingFiles : text, fraction: reading ? null : fraction },
      });
    });
  } finally {
    store.set({ loading: null });
  }
}
