/** Questions and short forms, in the browser's own modal dialog. */

import type { Actions } from "../actions";
import type { Case } from "../api";
import { h, iconButton } from "../dom";
import { reportErrors } from "../toasts";

/** Show a modal dialog; Escape and the cross close it, and it leaves the page when it closes. */
export function dialog(title: string, ...content: Node[]): HTMLDialogElement {
  const id = `dialog-${title.replace(/\W+/g, "-").toLowerCase()}`;
  const element = h(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", { id }, title),
      iconButton("close", "Close", () => {
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
  const cancel = h("button", { type: "button", class: "button" }, "Keep it");
  const remove = h("button", { type: "button", class: "button danger" }, "Delete");
  const element = dialog(
    `Delete ${one.name}?`,
    h("p", {}, "The image, its sessions and its masks are deleted. This cannot be undone."),
    h("div", { class: "dialog-buttons" }, cancel, remove),
  );
  cancel.addEventListener("click", () => {
    element.close();
  });
  remove.addEventListener("click", () => {
    element.close();
    reportErrors(() => actions.deleteCase(one.id));
  });
  cancel.focus();
}

export function linkDialog(actions: Actions): void {
  const path = h("input", {
    id: "link-path",
    class: "text-input",
    required: true,
    spellcheck: "false",
    placeholder: "/data/patient-12/ct",
  });
  const form = h(
    "form",
    {},
    h("label", { for: "link-path" }, "Path of a file or a DICOM folder, on the computer that runs Segmend"),
    path,
    h("p", { class: "hint" }, "Linking copies nothing through the browser, which is quickest for large images."),
    h("div", { class: "dialog-buttons" }, h("button", { class: "button primary" }, "Link")),
  );
  const element = dialog("Link a case", form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    element.close();
    reportErrors(() => actions.linkCase(path.value.trim()));
  });
  path.focus();
}
