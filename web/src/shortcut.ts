/** A row of the table of keys. */

import type { Actions } from "./actions";
import { phrases } from "./phrases";

export interface Shortcut {
  readonly shown: string;
  readonly what: string;
  readonly matches: (event: KeyboardEvent) => boolean;
  readonly act: (actions: Actions, event: KeyboardEvent) => void;
  readonly always?: true; // also while no case is open
}

const { shift, ctrl, enter } = phrases.help.caps;

/** Return keys as they are called in the language: "Strg+Z" for "Ctrl+Z". */
export function keyNames(keys: string): string {
  return keys.replaceAll("Shift", shift).replaceAll("Ctrl", ctrl).replaceAll("Enter", enter);
}
