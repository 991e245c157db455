/** Who this page is to the others who have the same case open: a name that the browser keeps, a colour of its own. */

import type { Person } from "./live";
import { phrases } from "./phrases";
import { prefer, preferences } from "./preferences";

const KEY = "segmend-colour";
/** Told apart by people who see colours otherwise, too (Okabe and Ito). */
const COLOURS: readonly Person["colour"][] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];
export const MAX_NAME = 40; // characters

export function me(): Person {
  return { name: preferences().name ?? phrases.people.guest, colour: colour() };
}

export function setName(name: string): void {
  const said = name.trim().replaceAll(/\s+/g, " ").slice(0, MAX_NAME);
  if (said !== "") prefer({ name: said });
}

/** Return this tab's colour, which it keeps when it is loaded again. */
function colour(): Person["colour"] {
  const drawn = String(Math.floor(Math.random() * COLOURS.length));
  try {
    const kept = sessionStorage.getItem(KEY) ?? drawn;
    sessionStorage.setItem(KEY, kept);
    return COLOURS[Number(kept)] ?? COLOURS[0];
  } catch {
    return COLOURS[Number(drawn)]; // no storage for this page
  }
}

/** Return up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.split(" ").filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((word) => String.fromCodePoint(word.codePointAt(0) ?? 63).toUpperCase()).join("");
}
