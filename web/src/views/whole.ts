/** What a person does to a whole mask at once: let the method refine it, or nudge it larger and smaller. */

import type { Actions } from "../actions";
import { h } from "../dom";
import { guarded } from "../toasts";

export function wholePanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const refine = h(
    "button",
    {
      type: "button",
      class: "button wide",
      title: "The method betters the selected label's mask as it stands, or makes a first one",
      onclick: () => {
        guarded(() => actions.refine());
      },
    },
    "Refine the mask",
  );
  const output = h("output", { for: "nudge" });
  const say = (): void => {
    const percent = Number(nudge.value);
    output.value = percent === 0 ? "as it is" : `${percent > 0 ? "+" : "−"}${Math.abs(percent)} %`;
  };
  const nudge = h("input", {
    id: "nudge",
    type: "range",
    min: -100,
    max: 100,
    step: 5,
    title: "Smaller to the left, larger to the right; released, it is sent",
    oninput: say,
    onchange: () => {
      actions.nudge(Number(nudge.value) / 100);
      nudge.value = "0";
      say();
    },
  });
  const row = h("div", { class: "slider-row" }, h("label", { for: "nudge" }, "Nudge"), nudge, output);
  const element = h(
    "section",
    { class: "section" },
    h("div", { class: "section-head" }, h("h2", {}, "Whole mask")),
    refine,
    row,
  );
  nudge.value = "0";
  say();
  store.on(["method", "methods", "opened", "label", "labels"], ({ methods, method, opened }) => {
    const card = methods.find(({ id }) => id === method);
    refine.hidden = !(card?.refines ?? false);
    row.hidden = !(card?.prompts.includes("adjust") ?? false);
    element.hidden = opened === null || (refine.hidden && row.hidden);
  });
  return element;
}
