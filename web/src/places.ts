/** Where one left: the layout and the crosshair of the cases opened last, and which was the last, in this browser. */

import type { Index } from "./geometry";
import type { Layout } from "./state";

const KEY = "segmend.places";
const KEPT = 200; // cases

export interface Place {
  readonly layout: Layout;
  readonly crosshair: Index;
}

type Entries = readonly (readonly [string, Place])[]; // the last one first

function read(): Entries {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? (found as Entries) : [];
  } catch {
    return []; // no storage, or not what we wrote
  }
}

/** Return where a case was left, null where nobody knows. */
export function placeOf(id: string): Place | null {
  return read().find(([known]) => known === id)?.[1] ?? null;
}

/** Return the id of the case that was looked at last. */
export function lastCase(): string | null {
  return read().at(0)?.[0] ?? null;
}

export function keepPlace(id: string, place: Place): void {
  write([[id, place], ...read().filter(([known]) => known !== id)]);
}

export function forgetPlace(id: string): void {
  write(read().filter(([known]) => known !== id));
}

function write(entries: Entries): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries.slice(0, KEPT)));
  } catch {
    // the next case opens in its middle
  }
}
