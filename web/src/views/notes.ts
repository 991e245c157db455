/** What was done to the images of the open case when they were read, said for as long as it is open. */

import type { Actions } from "../actions";
import { h, icon, refill } from "../dom";

export function caseNotes(actions: Actions): HTMLElement {
  const element = h("div", { class: "case-notes", role: "note", "aria-label": "About this case" });
  actions.store.on(["opened"], ({ opened }) => {
    const notes = opened?.case.notes ?? [];
    element.hidden = notes.length === 0;
    refill(
      element,
      notes.map((note) => h("p", {}, icon("warning"), note)),
    );
  });
  return element;
}
