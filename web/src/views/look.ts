/** Where a look would pay most, and how good the method thinks the mask is, where that is known to be near the truth. */

import type { Actions } from "../actions";
import { h } from "../dom";
import { gradeOf, isEnough } from "../enough";
import { expectedDice, interval, whyNot } from "../look";
import { titleOf } from "../labels";
import { fill, phrases } from "../phrases";
import { reportErrors } from "../toasts";
import { fixed } from "../words";
import { previewSwitch } from "./preview";

const SAY = phrases.look;

export function lookPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const dice = h("output", { class: "look-dice" });
  const grade = h("span", { class: "look-grade" });
  const next = h(
    "button",
    {
      type: "button",
      class: "button wide",
      onclick: () => {
        reportErrors(() => actions.views.look());
      },
    },
    SAY.next,
  );
  const row = h("span", { class: "look-row" }, SAY.expected, dice, grade);
  const words = h("span", {});
  const go = h(
    "button",
    {
      type: "button",
      class: "button small",
      onclick: () => {
        reportErrors(() => actions.work.finish("done", store.state.work?.comment ?? ""));
      },
    },
    phrases.case.done,
  );
  const enough = h("p", { class: "look-enough", role: "status", hidden: true }, words, go);
  store.on(["qualities", "label", "labels", "answered", "work", "pending"], (state) => {
    const { qualities, label, labels, work, pending } = state;
    const known = labels.find(({ value }) => value === label);
    enough.hidden = known === undefined || pending.length > 0 || !isEnough(qualities[label] ?? []);
    if (known !== undefined && !enough.hidden) words.textContent = fill(SAY.enough, { name: titleOf(known) });
    go.hidden = work === null || work.status !== "begun" || work.reading !== null;
  });
  const element = h(
    "section",
    { class: "section" },
    h("div", { class: "section-head" }, h("h2", {}, SAY.title), row),
    enough,
    next,
    previewSwitch(actions),
  );
  store.on(
    ["opened", "events", "pending", "unsent", "uncertaintyOf", "label", "labels", "methods", "connection", "answered"],
    (state) => {
      element.hidden = state.opened === null;
      const expected = expectedDice(state);
      row.hidden = expected === null;
      const likely = expected === null ? null : interval(state, expected);
      const [low, high] = (likely ?? []).map((one) => fixed(one, 2));
      dice.value =
        expected === null ? "" : likely === null ? fixed(expected, 2) : `${fixed(expected, 2)} (${low}–${high})`;
      row.title = likely === null ? SAY.expectedTitle : fill(SAY.likelyTitle, { low, high });
      const word = expected === null ? null : gradeOf(expected, likely);
      grade.textContent = word === null ? "" : SAY[word];
      if (word !== null) row.dataset.grade = word;
      const reason = whyNot(state);
      next.disabled = reason !== null;
      next.title = reason ?? SAY.nextTitle;
    },
  );
  return element;
}
