/** The list of cases, and the ways to add one. */

import type { Actions } from "../actions";
import type { Case } from "../api";
import { h, icon, iconButton, refill, set } from "../dom";
import { confirmDelete, linkDialog } from "./dialogs";
import { pickFiles, pickFolder } from "../drop";
import { reportErrors } from "../toasts";
import { kindAndSize } from "./header";

export function casesPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const list = h("ul", { class: "case-list" });
  const element = h(
    "aside",
    { class: "sidebar", "aria-label": "Cases" },
    h(
      "div",
      { class: "section-head" },
      h("h2", {}, "Cases"),
      iconButton("link", "Link a folder or file of this computer", () => {
        linkDialog(actions);
      }),
    ),
    list,
    h(
      "div",
      { class: "add-area" },
      h(
        "div",
        { class: "add-buttons" },
        h("button", { type: "button", class: "button", onclick: pickFiles(actions) }, icon("file"), "Add files"),
        h(
          "button",
          { type: "button", class: "button", onclick: pickFolder(actions), "aria-label": "Add a DICOM folder" },
          icon("folder"),
          "Folder",
        ),
      ),
      h("p", { class: "hint" }, "Or drop them anywhere: NIfTI, DICOM, NRRD, MHA, PNG, JPEG, TIFF."),
    ),
  );
  store.on(["cases", "opened"], ({ cases, opened }) => {
    if (cases === null)
      refill(
        list,
        [0, 1, 2].map(() => h("li", { class: "case-row ghost", "aria-hidden": "true" })),
      );
    else if (cases.length === 0) refill(list, [h("li", { class: "hint" }, "No cases yet.")]);
    else
      refill(
        list,
        cases.map((one) => row(actions, one, one.id === opened?.case.id)),
      );
  });
  store.on(["sidebar"], ({ sidebar }) => {
    set(element, "hidden", !sidebar);
  });
  return element;
}

function row(actions: Actions, one: Case, current: boolean): HTMLElement {
  const open = h(
    "button",
    {
      type: "button",
      class: "case-open",
      "data-key": `case-${one.id}`,
      "aria-current": current ? "true" : null,
      onclick: () => {
        reportErrors(() => actions.openCase(one.id));
      },
    },
    h("span", { class: "case-row-name", title: one.name }, one.name),
    h("span", { class: "case-row-details" }, kindAndSize(one)),
  );
  const remove = iconButton("trash", `Delete ${one.name}`, () => {
    confirmDelete(actions, one);
  });
  remove.classList.add("small");
  remove.dataset.key = `delete-${one.id}`;
  return h("li", { class: "case-row" }, open, remove);
}
