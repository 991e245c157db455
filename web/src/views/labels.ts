/** The labels of the session: which one marks go to, and their names, colours and locks. */

import type { Actions } from "../actions";
import type { Label } from "../api";
import { pickMask } from "../drop";
import { h, icon, iconButton, refill } from "../dom";
import { fill, phrases } from "../phrases";

const SAY = phrases.labels;

const hex = (colour: Label["colour"]): string =>
  `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;

export function labelsPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const list = h("ul", { class: "label-list", "aria-label": SAY.title });
  const add = h(
    "button",
    {
      type: "button",
      class: "button quiet",
      title: SAY.addTitle,
      onclick: () => {
        actions.addLabel();
      },
    },
    icon("plus"),
    SAY.add,
  );
  const load = h(
    "button",
    {
      type: "button",
      class: "button quiet",
      "aria-label": SAY.loadLabel,
      title: SAY.loadTitle,
      onclick: pickMask(actions),
    },
    icon("upload"),
    SAY.load,
  );
  store.on(["labels", "label", "opened", "hidden"], ({ labels, label, opened, hidden }) => {
    const editing = list.querySelector("input.label-name:focus");
    if (editing === null)
      refill(
        list,
        labels.map((one, i) =>
          row(actions, one, { selected: one.value === label, hidden: hidden.includes(one.value), position: i }),
        ),
      );
    add.disabled = load.disabled = opened === null;
  });
  const overwrite = h("input", {
    type: "checkbox",
    onchange: () => {
      actions.setOverwrite(overwrite.checked);
    },
  });
  const title = SAY.overwriteTitle;
  const allow = h("label", { class: "check label-overwrite", title }, overwrite, SAY.overwrite);
  store.on(["overwrite", "labels", "opened"], (state) => {
    overwrite.checked = state.overwrite;
    allow.hidden = state.opened === null || state.labels.length < 2;
  });
  const head = h("div", { class: "section-head" }, h("h2", {}, SAY.title), h("span", {}, load, add));
  return h("section", { class: "section" }, head, list, allow);
}

interface Shown {
  readonly selected: boolean;
  readonly hidden: boolean;
  readonly position: number; // in the list
}

function row(actions: Actions, label: Label, { selected, hidden, position }: Shown): HTMLElement {
  const { name } = label;
  const colour = h("input", {
    type: "color",
    class: "label-colour",
    value: hex(label.colour),
    "aria-label": fill(SAY.colour, { name }),
    onchange: () => {
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.value.slice(at, at + 2), 16)) as [number, number, number];
      actions.define({ ...label, colour: [r, g, b] });
    },
  });
  const choose = h(
    "button",
    {
      type: "button",
      class: "label-choose",
      "data-key": `label-${label.value}`,
      "aria-pressed": String(selected),
      title: SAY.choose,
      onclick: () => {
        actions.select(label.value);
      },
      ondblclick: () => {
        rename(actions, label);
      },
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === "F2") rename(actions, label);
      },
    },
    h("span", { class: "label-text", dir: "auto" }, name),
    position < 9 ? h("kbd", {}, position + 1) : null,
  );
  const lock = iconButton(
    label.locked ? "lock" : "unlock",
    fill(label.locked ? SAY.unlock : SAY.lock, { name }),
    () => {
      actions.define({ ...label, locked: !label.locked });
    },
  );
  lock.classList.add("small", "label-lock");
  lock.dataset.key = `lock-${label.value}`;
  lock.setAttribute("aria-pressed", String(label.locked));
  const hide = iconButton(hidden ? "hidden" : "eye", fill(hidden ? SAY.show : SAY.hide, { name }), () => {
    actions.hideLabel(label.value);
  });
  hide.classList.add("small", "label-hide");
  hide.dataset.key = `hide-${label.value}`;
  hide.setAttribute("aria-pressed", String(hidden));
  const remove = iconButton("trash", fill(SAY.delete, { name }), () => {
    actions.deleteLabel(label.value);
  });
  remove.classList.add("small", "label-delete");
  const classes = `label-row${selected ? " selected" : ""}${hidden ? " is-hidden" : ""}`;
  return h("li", { class: classes, "data-label": label.value }, colour, choose, hide, lock, remove);
}

/** Turn a label's name into a field; Enter or leaving it keeps the new name, Escape the old one. */
export function rename(actions: Actions, label: Label): void {
  const button = document.querySelector<HTMLElement>(`[data-key="label-${label.value}"]`);
  if (button === null) return;
  const input = h("input", {
    class: "label-name",
    value: label.name,
    maxlength: 60,
    "aria-label": SAY.name,
  });
  let kept = false;
  const leave = (keep: boolean): void => {
    if (kept) return;
    kept = true;
    const name = input.value.trim();
    input.replaceWith(button);
    button.focus();
    if (keep && name !== "" && name !== label.name) actions.define({ ...label, name });
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") leave(true);
    if (event.key === "Escape") leave(false);
  });
  input.addEventListener("blur", () => {
    leave(true);
  });
  button.replaceWith(input);
  input.focus();
  input.select();
}
