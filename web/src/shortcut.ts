/** A row of the table of keys. */

import type { Actions } from "./actions";

export interface Shortcut {
  readonly shown: string;
  readonly what: string;
  readonly matches: (event: KeyboardEvent) => boolean;
  readonly act: (actions: Actions, event: KeyboardEvent) => void;
  readonly always?: true; // also while no case is open
}
