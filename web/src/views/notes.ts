/** What was done to the images of the open case when they were read, said for as long as it is open. */

import type { Actions } from "../actions";
import { h, icon, refill } from "../dom";
import { aboutFirst } from "../firstmasks";
import { phrases } from "../phrases";

export function caseNotes(actions: Actions): HTMLElement {
  const element = h("div", { class: "case-notes", role: "note", "aria-label": phrases.case.notes });
  actions.store.on(["opened", "project", "done", "labels", "methods"], (state) => {
    const notes = state.opened?.case.notes ?? [];
    const first = state.opened === null ? null : aboutFirst(state);
    element.hidden = notes.length === 0 && first === null;
    refill(element, [
      ...notes.map((note) => h("p", { lang: "en" }, icon("warning"), h("span", { dir: "auto" }, note))),
      ...(first === null ? [] : [h("p", {}, icon("check"), h("span", { dir: "auto" }, first))]),
    ]);
  });
  return element;
}
