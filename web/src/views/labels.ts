/** The labels of the session: which one marks go to, and their names, colours and locks. */

import type { Actions } from "../actions";
import type { Label } from "../api";
import { pickMask } from "../drop";
import { h, icon, iconButton, refill } from "../dom";
import { titleOf } from "../labels";
import { fill, phrases } from "../phrases";
import { labelDetails } from "./labelling";
import { colourOf, hex } from "./template";

const SAY = phrases.labels;

const DRAG = 5; // CSS pixels up or down after which a press on a label's name drags it

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
        actions.labels.add();
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
      actions.tools.setOverwrite(overwrite.checked);
    },
  });
  const title = SAY.overwriteTitle;
  const allow = h("label", { class: "check label-overwrite", title }, overwrite, SAY.overwrite);
  store.on(["overwrite", "labels", "opened"], (state) => {
    overwrite.checked = state.overwrite;
    allow.hidden = state.opened === null || state.labels.length < 2;
  });
  const head = h("div", { class: "section-head" }, h("h2", {}, SAY.title), h("span", {}, load, add));
  return h("section", { class: "section" }, head, list, allow, labelDetails(actions));
}

interface Shown {
  readonly selected: boolean;
  readonly hidden: boolean;
  readonly position: number; // in the list
}

function row(actions: Actions, label: Label, { selected, hidden, position }: Shown): HTMLElement {
  const name = titleOf(label);
  const colour = h("input", {
    type: "color",
    class: "label-colour",
    value: hex(label.colour),
    "aria-label": fill(SAY.colour, { name }),
    onchange: () => {
      actions.labels.define({ ...label, colour: colourOf(colour.value) });
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
      "aria-keyshortcuts": "Shift+ArrowUp Shift+ArrowDown",
      onclick: () => {
        actions.labels.select(label.value);
      },
      ondblclick: () => {
        rename(actions, label);
      },
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === "F2") rename(actions, label);
        const by = event.shiftKey ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
        if (by === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        actions.labels.move(label.value, by as 1 | -1);
      },
      onpointerdown: (event: PointerEvent) => {
        if (event.button === 0 && event.pointerType !== "touch") dragLabel(actions, label.value, event);
      },
    },
    h("span", { class: "label-text", dir: "auto" }, name),
    position < 9 ? h("kbd", {}, position + 1) : null,
  );
  const grip = h(
    "span",
    {
      class: "label-grip", // for fingers, which scroll the list elsewhere
      "aria-hidden": "true",
      onpointerdown: (event: PointerEvent) => {
        event.preventDefault();
        dragLabel(actions, label.value, event);
      },
    },
    icon("grip"),
  );
  const lock = iconButton(
    label.locked ? "lock" : "unlock",
    fill(label.locked ? SAY.unlock : SAY.lock, { name }),
    () => {
      actions.labels.define({ ...label, locked: !label.locked });
    },
  );
  lock.classList.add("small", "label-lock");
  lock.dataset.key = `lock-${label.value}`;
  lock.setAttribute("aria-pressed", String(label.locked));
  const hide = iconButton(hidden ? "hidden" : "eye", fill(hidden ? SAY.show : SAY.hide, { name }), () => {
    actions.labels.hide(label.value);
  });
  hide.classList.add("small", "label-hide");
  hide.dataset.key = `hide-${label.value}`;
  hide.setAttribute("aria-pressed", String(hidden));
  const remove = iconButton("trash", fill(SAY.delete, { name }), () => {
    actions.labels.delete(label.value);
  });
  remove.classList.add("small", "label-delete");
  const classes = `label-row${selected ? " selected" : ""}${hidden ? " is-hidden" : ""}`;
  return h("li", { class: classes, "data-label": label.value }, grip, colour, choose, hide, lock, remove);
}

/** Put a label elsewhere in the list, once the pointer that went down on it has moved up or down. */
function dragLabel(actions: Actions, value: number, start: PointerEvent): void {
  let before: number | null | undefined; // the label that it is put before, null: the end; undefined: not dragged yet
  const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>(".label-row")];
  const show = (): void => {
    const all = rows();
    all.forEach((one, i) => {
      const own = Number(one.dataset.label);
      one.classList.toggle("is-dragged", before !== undefined && own === value);
      one.classList.toggle("drop-before", before !== undefined && own === before);
      one.classList.toggle("drop-behind", before === null && i === all.length - 1);
    });
  };
  const move = (event: PointerEvent): void => {
    if (before === undefined && Math.abs(event.clientY - start.clientY) < DRAG) return;
    const next = rows().find((one) => {
      const box = one.getBoundingClientRect();
      return event.clientY < box.top + box.height / 2;
    });
    before = next === undefined ? null : Number(next.dataset.label);
    show();
  };
  const end = (event: Event): void => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", end);
    window.removeEventListener("pointercancel", end);
    const target = event.type === "pointerup" ? before : undefined;
    before = undefined;
    show();
    if (target !== undefined && target !== value) actions.labels.order(value, target);
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", end);
  window.addEventListener("pointercancel", end);
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
    if (keep && name !== "" && name !== label.name) actions.labels.defineObjects(label, { name });
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
