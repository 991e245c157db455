/** The part of an address behind the #. */

import { LAYOUTS, type Layout } from "./state";

/** Return the case and the layout that an address asks for. */
export function askedFor(hash: string): { id: string | null; layout: Layout | undefined } {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  return { id: asked.get("case"), layout: LAYOUTS.find((name) => name === asked.get("layout")) };
}
