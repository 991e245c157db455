/** The address names the open case and perhaps how to show it: #case=ID&layout=axial. */

import { askedFor } from "./hash";
import type { Layout, Store } from "./state";
import { reportErrors } from "./toasts";

/** What opens cases and closes them. */
interface Opener {
  readonly store: Store;
  readonly cases: { open(id: string, layout?: Layout): Promise<void> };
  readonly session: { close(): void };
}

/** Have the address name the case that is shown; the one before is a step back. */
export function showAddress(id: string): void {
  if (askedFor(location.hash).id === id) history.replaceState(null, "", `#case=${id}`);
  else history.pushState(null, "", `#case=${id}`);
}

/** Open what the address names, now and whenever it is changed or gone back to. */
export function followAddress(actions: Opener): void {
  const follow = async (): Promise<void> => {
    const { id, layout } = askedFor(location.hash);
    const shown = actions.store.state.opened?.case.id ?? null;
    if (id === shown) return;
    if (id === null) {
      actions.session.close();
      return;
    }
    try {
      await actions.cases.open(id, layout);
    } finally {
      const open = actions.store.state.opened?.case.id;
      if (open !== undefined) showAddress(open); // it stayed open: its marks wait for the connection
    }
  };
  window.addEventListener("hashchange", () => {
    reportErrors(follow);
  });
  reportErrors(follow);
}
