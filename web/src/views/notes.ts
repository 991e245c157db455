/** What was done to the images of the open case when they were read, said for as long as it is open. */

import type { Actions } from "../actions";
import { h, icon, refill } from "../dom";
import { phrases } from "../phrases";

export function caseNotes(actions: Actions): HTMLElement {
  const element = h("div", { class: "case-notes", role: "note", "aria-label": phrases.case.notes });
  actions.store.on(["opened"], ({ opened }) => {
    const notes = opened?.case.notes ?? [];
    element.hidden = notes.length === 0;
    refill(
      element,
      notes.map((note) => h("p", { lang: "en" }, icon("warning"), h("span", { dir: "auto" }, note))),
    );
  });
  return element;
}
