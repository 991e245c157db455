/** Several panes at once, or one alone. */

import type { Actions } from "../actions";
import { isSeveral, type Layout } from "../arrange";

/** Step from several panes to the plane under the pointer alone, and back. */
export function toggleLayout(actions: Actions): void {
  const { layout, several, opened } = actions.store.state;
  const under = document.querySelector<HTMLElement>(".pane:hover")?.dataset.plane as Layout | undefined;
  if (opened !== null) actions.views.setLayout(isSeveral(layout) ? (under ?? "axial") : several);
}
