/** The line at the bottom: the voxel under the pointer, whether the server is ready, and how the last answer went. */

import type { Actions } from "../actions";
import { h } from "../dom";
import { toMm } from "../geometry";
import { hintOf } from "../hints";
import { expectedDice, lastAsked, sentence } from "../look";
import { isThere, valueAt } from "../nifti";
import { titleOf } from "../labels";
import { decimal, fill, phrases } from "../phrases";
import { seriesOf } from "../state";
import { fixed, sidesOf, significant } from "../words";

const SAY = phrases.statusLine;
const LIST = decimal(".") === "," ? "; " : ", "; // between numbers
const SLOW = 500; // ms until waiting is shown

export function statusLine(actions: Actions): HTMLElement {
  const store = actions.store;
  const voxel = h("span", { class: "status-voxel", id: "status-voxel", dir: "ltr" });
  const answer = h("span", { class: "status-answer", role: "status" });
  const bar = h("progress", { max: 1, "aria-label": SAY.progress });
  const cancel = h(
    "button",
    {
      type: "button",
      class: "link",
      onclick: () => {
        actions.session.cancel();
      },
    },
    phrases.common.cancel,
  );
  const busy = h("span", { class: "status-busy", hidden: true }, h("span", {}, SAY.working), bar, cancel);
  const coming = h("span", { class: "status-busy", hidden: true });
  store.on(["arrived", "opened"], ({ arrived, opened }) => {
    coming.hidden = opened === null || arrived >= 1;
    coming.textContent = fill(SAY.slices, { percent: Math.floor(100 * arrived) });
  });
  const warming = h("span", { class: "status-busy" }, SAY.warming);
  let timer: ReturnType<typeof setTimeout> | undefined;

  store.on(
    ["pointer", "crosshair", "opened", "maskVersion", "image"],
    ({ pointer, crosshair, opened, labels, image }) => {
      if (opened === null) {
        voxel.textContent = "";
        return;
      }
      const index = pointer ?? crosshair;
      const mm = toMm(opened.volume.affine, index).map((value) => fixed(value, 1));
      const { volume, statistics } = seriesOf(opened, image) ?? opened;
      const there = isThere(volume, index[0]);
      const value = there ? valueAt(volume, index).map((number) => significant(number, 5)) : ["…"];
      const names = opened.maps.at(index).map((there) => {
        const label = labels.find(({ value }) => value === there);
        return label === undefined ? fill(phrases.common.label, { n: there }) : titleOf(label);
      });
      const name = names.length === 0 ? "" : `   ${names.join(", ")}`;
      const where = opened.photo ? "" : `   ${sidesOf(toMm(opened.volume.affine, index))}`;
      const unit = statistics.ct && there ? " HU" : "";
      voxel.textContent = `${fill(SAY.voxel, { index: index.join(", ") })}${where}   ${fill(SAY.value, { value: value.join(LIST) + unit })}${name}`;
      voxel.title = opened.photo ? "" : `RAS ${mm.join(LIST)} mm`;
    },
  );
  store.on(["aiming"], ({ aiming }) => {
    voxel.setAttribute("aria-live", aiming ? "polite" : "off"); // where keys lead is read out, where the pointer goes is not
  });
  store.on(["pending", "unsent", "answering", "connection"], (state) => {
    const working = (state.pending.length > 0 || state.unsent.length > 0) && state.connection === "live";
    if (!working) {
      clearTimeout(timer);
      timer = undefined;
      busy.hidden = true;
    } else {
      timer ??= setTimeout(() => {
        busy.hidden = false;
      }, SLOW);
    }
    if (state.answering === null) bar.removeAttribute("value");
    else bar.value = state.answering;
  });
  store.on(["warming"], (state) => {
    warming.hidden = !state.warming;
  });
  store.on(["answered", "uncertainPlace", "events", "label", "opened", "methods"], (state) => {
    const { answered, uncertainPlace, events, label } = state;
    if (uncertainPlace !== null) {
      answer.textContent = sentence(uncertainPlace);
      return;
    }
    if (answered === null || lastAsked(events)?.label !== label) {
      answer.textContent = ""; // the last answer is of a mask that is not there any longer, or of another label
      return;
    }
    const expected = expectedDice(state);
    const parts = [fill(SAY.answered, { ms: Math.round(answered.milliseconds) })];
    if (expected !== null) parts.push(fill(SAY.expected, { dice: fixed(expected, 2) }));
    if (answered.finetuned) parts.push(SAY.finetuned);
    answer.textContent = parts.join(phrases.common.comma);
  });
  const hint = h("span", { class: "status-hint", role: "status" });
  store.on(
    ["tool", "points", "positive", "cut", "leg", "opened", "drawing", "reach", "reachMm", "work", "me"],
    (state) => {
      hint.textContent = hintOf(state);
    },
  );
  return h("footer", { class: "status" }, voxel, hint, h("span", { class: "spacer" }), coming, warming, busy, answer);
}
