/** The marks in effect, newest first; any of them can be taken away. */

import type { Actions } from "../actions";
import type { Edit, Prompt } from "../api";
import { describeEdit, placeOfEdit } from "../edits";
import { turnedOver } from "../handles";
import { whyFinished } from "../finished";
import { h, icon, iconButton, type IconName, refill } from "../dom";
import { titleOf } from "../labels";
import { fill, phrases, plural } from "../phrases";
import { type Mark, marksOf, type State } from "../state";
import { placeOf } from "./marks";
import { reachRow } from "./reach";

const SAY = phrases.marks;
const SHOWN = 200;
const GIVEN = "given"; // in place of a method: the mask is from elsewhere

export function promptsPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const list = h("ol", { class: "mark-list", "aria-label": SAY.list });
  const count = h("span", { class: "count" });
  store.on(["events", "done", "pending", "unsent", "labels", "opened", "work", "me"], (state) => {
    const marks = marksOf(state).reverse();
    if (!marks.some(({ position }) => position === state.hovered)) store.set({ hovered: null });
    count.textContent = marks.length > 0 ? String(marks.length) : "";
    if (marks.length === 0) {
      const text = state.opened === null ? SAY.openFirst : (whyFinished(state) ?? SAY.begin);
      refill(list, [h("li", { class: "hint" }, text)]);
      return;
    }
    refill(
      list,
      marks.slice(0, SHOWN).map((mark) => row(actions, state, mark)),
    );
    if (marks.length > SHOWN) list.append(h("li", { class: "hint" }, plural(SAY.earlier, marks.length - SHOWN)));
  });
  return h(
    "section",
    { class: "section grows" },
    h("div", { class: "section-head" }, h("h2", {}, SAY.title), count),
    reachRow(actions),
    list,
  );
}

function row(actions: Actions, state: State, { position, event, waiting }: Mark): HTMLElement {
  const label = state.labels.find(({ value }) => value === event.label);
  const place = event.event === "edited" ? placeOfEdit(event.edit) : placeOf(event.prompt);
  const words = event.event === "edited" ? describeEdit(event.edit, state.labels) : describe(event);
  const hover = (hovered: number | null) => (): void => {
    actions.store.set({ hovered });
  };
  const look = h(
    "button",
    {
      type: "button",
      class: "mark-look",
      title: place === null ? "" : fill(SAY.show, { place: place.join(", ") }),
      "data-key": `mark-${position}`,
      onclick: () => {
        if (place !== null) actions.views.showMark(place);
      },
      onfocus: hover(position),
      onblur: hover(null),
    },
    icon(event.event === "edited" ? iconOfEdit(event.edit) : iconOf(event.prompt)),
    h("span", { class: "mark-words" }, words),
    h("span", { class: "mark-label", dir: "auto" }, waiting ? SAY.waiting : label === undefined ? "" : titleOf(label)),
  );
  look.style.setProperty("--label", `rgb(${(label?.colour ?? [160, 160, 160]).join()})`);
  const remove = iconButton("close", fill(SAY.remove, { mark: words }), () => {
    actions.marks.remove(position);
  });
  remove.classList.add("small");
  const merged = event.event === "edited" && event.edit.kind === "merge"; // its other label is gone: undo alone takes it back
  remove.disabled = position < 0 || merged;
  if (merged) remove.title = SAY.mergeStays;
  const opposite = event.event === "prompted" ? turnedOver(event.prompt) : null;
  const turn =
    opposite === null || !("positive" in opposite)
      ? null
      : iconButton(
          opposite.positive ? "plus" : "minus",
          fill(opposite.positive ? SAY.makePositive : SAY.makeNegative, { mark: words }),
          () => {
            actions.marks.turnOver(position);
          },
          "T",
        );
  turn?.classList.add("small");
  if (turn !== null) turn.disabled = position < 0;
  return h(
    "li",
    {
      class: `mark-row${waiting ? " waiting" : ""}`,
      "data-position": position,
      onpointerenter: hover(position),
      onpointerleave: hover(null),
    },
    look,
    turn,
    remove,
  );
}

const signed = (positive: boolean): string => (positive ? "+" : "−");

export function describe({ prompt, method }: Extract<Mark["event"], { event: "prompted" }>): string {
  if (method === GIVEN) return SAY.loaded;
  switch (prompt.kind) {
    case "click":
      return fill(SAY.click, { sign: signed(prompt.positive) });
    case "stroke":
      return fill(SAY.stroke, { sign: signed(prompt.positive) });
    case "lasso":
      return fill(SAY.lasso, { sign: signed(prompt.positive) });
    case "box":
      return SAY.box;
    case "extremes":
      return SAY.extremes;
    case "adjust":
      if (prompt.of !== "mask") return prompt.k > 0 ? SAY.grow : SAY.shrink;
      return fill(prompt.k > 0 ? SAY.growBy : SAY.shrinkBy, { percent: Math.round(Math.abs(prompt.k) * 100) });
    case "mask":
      return prompt.shape.every((side) => side === 1) ? SAY.guess : SAY.refined;
    case "drawn":
      return fill(SAY.drawn, { sign: signed(prompt.positive) });
  }
}

function iconOfEdit(edit: Edit): IconName {
  if (edit.kind === "paint" || edit.kind === "draw") {
    return (edit.kind === "paint" ? edit : edit.drawn).positive ? "paint" : "erase";
  }
  return "check";
}

function iconOf(prompt: Prompt): IconName {
  if (prompt.kind === "drawn") return "stroke";
  if (prompt.kind === "click") return prompt.positive ? "plus" : "minus";
  if (prompt.kind === "adjust") return prompt.k > 0 ? "plus" : "minus";
  return prompt.kind === "mask" ? "check" : prompt.kind;
}
