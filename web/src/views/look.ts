/** Where a look would pay most, and how good the method thinks the mask is, where that is known to be near the truth. */

import type { Actions } from "../actions";
import { h } from "../dom";
import { expectedDice, whyNot } from "../look";
import { reportErrors } from "../toasts";
import { previewSwitch } from "./preview";

export function lookPanel(actions: Actions): HTMLElement {
  const store = actions.store;
  const dice = h("output", { class: "look-dice" });
  const next = h(
    "button",
    {
      type: "button",
      class: "button wide",
      onclick: () => {
        reportErrors(() => actions.look());
      },
    },
    "Next uncertain place",
  );
  const row = h("span", { class: "look-row" }, "Expected Dice", dice);
  const element = h(
    "section",
    { class: "section" },
    h("div", { class: "section-head" }, h("h2", {}, "Check the mask"), row),
    next,
    previewSwitch(actions),
  );
  store.on(
    ["opened", "events", "pending", "unsent", "uncertaintyOf", "label", "labels", "methods", "connection", "answered"],
    (state) => {
      element.hidden = state.opened === null;
      const expected = expectedDice(state);
      row.hidden = expected === null;
      dice.value = expected?.toFixed(2) ?? "";
      row.title = "What the method expects of its mask: 1 would be perfect";
      const reason = whyNot(state);
      next.disabled = reason !== null;
      next.title = reason ?? "Go to where the last answer is most uncertain, then to the next place (G)";
    },
  );
  return element;
}
