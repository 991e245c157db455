/** What a person does to a whole mask at once: let the method refine it, or nudge it larger and smaller. */

import type { Actions } from "../actions";
import { h } from "../dom";
import { firstMethod } from "../firstmasks";
import { fill, phrases } from "../phrases";
import { reportErrors } from "../toasts";
import { fixed } from "../words";

const SAY = phrases.whole;

export function wholePanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const refine = h(
    "button",
    {
      type: "button",
      class: "button wide",
      onclick: () => {
        reportErrors(() => actions.marks.refine());
      },
    },
    SAY.guess,
  );
  const first = h(
    "button",
    {
      type: "button",
      class: "button wide",
      onclick: () => {
        reportErrors(() => actions.work.firstMasks());
      },
    },
    fill(phrases.firstMasks.button, { method: "" }),
  );
  const output = h("output", { for: "nudge" });
  const say = (): void => {
    const percent = Number(nudge.value);
    output.value = percent === 0 ? SAY.asItIs : `${percent > 0 ? "+" : "−"}${Math.abs(percent)} %`;
  };
  const nudge = h("input", {
    id: "nudge",
    type: "range",
    min: -90,
    max: 100,
    step: 5,
    title: SAY.nudgeTitle,
    oninput: () => {
      say();
      actions.nudging.showNudge(Number(nudge.value) / 100);
    },
    onchange: () => {
      actions.nudging.nudge(Number(nudge.value) / 100);
      nudge.value = "0";
      say();
    },
  });
  const row = h("div", { class: "slider-row" }, h("label", { for: "nudge" }, SAY.nudge), nudge, output);
  const element = h(
    "section",
    { class: "section" },
    h("div", { class: "section-head" }, h("h2", {}, SAY.title)),
    first,
    refine,
    row,
  );
  nudge.value = "0";
  say();
  store.on(["method", "methods", "opened", "label", "labels", "maskVersion", "project"], (state) => {
    const { methods, method, opened, label, labels, project } = state;
    const trusted = firstMethod(state);
    const empty = opened !== null && labels.some(({ value }) => !opened.maps.ofLabel(labels, value).has(value));
    first.hidden = trusted === null || !empty;
    if (trusted !== null && project?.first) {
      first.textContent = fill(phrases.firstMasks.button, { method: trusted.title });
      first.title = fill(phrases.firstMasks.title, { dice: fixed(project.first.dice, 2) });
    }
    const card = methods.find(({ id }) => id === method);
    refine.hidden = !(card?.refines || card?.guesses);
    if (refine.hidden || opened === null) {
      // nothing to say
    } else if (!opened.maps.ofLabel(labels, label).has(label)) {
      refine.textContent = SAY.guess;
      refine.title = SAY.guessTitle;
      refine.disabled = !card?.guesses;
    } else {
      refine.textContent = SAY.refine;
      refine.title = SAY.refineTitle;
      refine.disabled = !card?.refines;
    }
    row.hidden = !(card?.prompts.includes("adjust") ?? false);
    element.hidden = opened === null || (refine.hidden && row.hidden && first.hidden);
  });
  return element;
}
