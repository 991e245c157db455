/** All planes at once, or one alone. */

import type { Actions } from "../actions";
import type { Layout } from "../state";

/** Step from all planes to the plane under the pointer alone, and back. */
export function toggleLayout({ store }: Actions): void {
  const { layout, opened } = store.state;
  if (opened === null || opened.planes.length === 1) return;
  const under = document.querySelector<HTMLElement>(".pane:hover")?.dataset.plane as Layout | undefined;
  store.set({ layout: layout === "grid" ? (under ?? "axial") : "grid" });
}
