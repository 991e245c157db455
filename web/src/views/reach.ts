/** How far the next marks may change the mask: everywhere, near them, in their slice, in their part. */

import type { Actions } from "../actions";
import { h, refill } from "../dom";
import { fill, phrases } from "../phrases";
import { LEAST_MM, MOST_MM, type ReachKind, reachesOf } from "../reach";

const SAY = phrases.reach;

export function reachRow(actions: Actions): HTMLElement {
  const store = actions.store;
  const choice = h("select", {
    id: "reach",
    class: "select small",
    title: SAY.hint,
    onchange: () => {
      actions.tools.setReach(choice.value as ReachKind);
      choice.blur();
    },
  });
  const mm = h("input", {
    type: "range",
    min: LEAST_MM,
    max: MOST_MM,
    step: 1,
    "aria-label": SAY.distance,
    title: SAY.distanceTitle,
    oninput: () => {
      actions.tools.setReachMm(Number(mm.value));
    },
  });
  const output = h("output", {});
  const distance = h("div", { class: "slider-row reach-distance" }, mm, output);
  store.on(["opened", "reach"], ({ opened, reach }) => {
    const kinds = reachesOf(opened?.planes.length === 1);
    refill(
      choice,
      kinds.map((kind) => h("option", { value: kind, selected: kind === reach }, SAY[kind])),
    );
    choice.value = reach;
    distance.hidden = reach !== "near";
  });
  store.on(["reachMm"], ({ reachMm }) => {
    mm.value = String(reachMm);
    output.value = fill(SAY.mm, { mm: reachMm });
  });
  return h("div", { class: "reach-row" }, h("label", { for: "reach" }, SAY.title), choice, distance);
}
