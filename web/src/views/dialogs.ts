/** Questions and short forms, in the browser's own modal dialog. */

import type { Actions } from "../actions";
import type { Case } from "../api";
import { h, iconButton } from "../dom";
import { fill, phrases } from "../phrases";
import { reportErrors } from "../toasts";

const SAY = phrases.dialogs;
let made = 0; // dialogs, of which each has a title of its own

/** Show a modal dialog; Escape and the cross close it, and it leaves the page when it closes. */
export function dialog(title: string, ...content: Node[]): HTMLDialogElement {
  const id = `dialog-${++made}`;
  const element = h(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", { id }, title),
      iconButton("close", phrases.common.close, () => {
        element.close();
      }),
    ),
    ...content,
  );
  element.addEventListener("close", () => {
    element.remove();
  });
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  document.body.append(element);
  element.showModal();
  return element;
}

export function confirmDelete(actions: Actions, one: Case): void {
  const cancel = h("button", { type: "button", class: "button" }, SAY.keep);
  const remove = h("button", { type: "button", class: "button danger" }, SAY.deleteButton);
  const element = dialog(
    fill(SAY.delete, { name: one.name }),
    h("p", {}, SAY.deleteText),
    h("div", { class: "dialog-buttons" }, cancel, remove),
  );
  cancel.addEventListener("click", () => {
    element.close();
  });
  remove.addEventListener("click", () => {
    element.close();
    reportErrors(() => actions.cases.delete(one.id));
  });
  cancel.focus();
}

export function linkDialog(actions: Actions): void {
  const path = h("input", {
    id: "link-path",
    class: "text-input",
    required: true,
    spellcheck: "false",
    dir: "ltr",
    placeholder: "/data/patient-12/ct",
  });
  const form = h(
    "form",
    {},
    h("label", { for: "link-path" }, SAY.linkPath),
    path,
    h("p", { class: "hint" }, SAY.linkHint),
    h("div", { class: "dialog-buttons" }, h("button", { class: "button primary" }, SAY.linkButton)),
  );
  const element = dialog(SAY.link, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    element.close();
    reportErrors(() => actions.adding.linkCase(path.value.trim()));
  });
  path.focus();
}
