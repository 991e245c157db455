/** What lies over the viewer: nothing opened yet, loading, a lost connection, files being dragged in. */

import type { Actions } from "../actions";
import { h, icon } from "../dom";
import { pickFiles, pickFolder } from "../drop";
import { fill, phrases } from "../phrases";
import { mayAnywhere } from "../rights";
import { waitingWords } from "../state";
import { reportErrors } from "../toasts";
import { mark } from "./header";
import { startTour } from "./tour";

const SAY = phrases.overlays;
const SLOW = 500;

export function emptyState(actions: Actions): HTMLElement {
  const store = actions.store;
  const sample = h("button", { type: "button", class: "button primary large" }, phrases.actions.openIt);
  const lead = h("p", { class: "empty-lead" });
  const tour = h("button", { type: "button", class: "button large" }, phrases.tour.start);
  tour.addEventListener("click", () => {
    startTour(actions);
  });
  sample.addEventListener("click", () => {
    const first = store.state.left ?? store.state.cases?.at(0);
    if (first !== undefined) reportErrors(() => actions.cases.open(first.id));
  });
  const adding = [
    h(
      "button",
      { type: "button", class: "button large", onclick: pickFiles(actions) },
      icon("file"),
      phrases.worklist.addFiles,
    ),
    h(
      "button",
      { type: "button", class: "button large", onclick: pickFolder(actions) },
      icon("folder"),
      phrases.worklist.addFolder,
    ),
  ];
  const element = h(
    "div",
    { class: "empty" },
    mark(),
    h("h1", {}, SAY.title),
    lead,
    h("div", { class: "empty-buttons" }, sample, tour, ...adding),
    h(
      "ol",
      { class: "empty-steps" },
      h("li", {}, h("b", {}, SAY.click), SAY.clickText),
      h("li", {}, h("b", {}, SAY.shift), SAY.shiftText),
      h("li", {}, h("b", {}, SAY.download), SAY.downloadText),
    ),
  );
  store.on(["opened", "loading", "cases", "left", "me"], ({ opened, loading, cases, left, me }) => {
    const adds = mayAnywhere(me, "reviewer");
    for (const button of adding) button.hidden = !adds;
    element.hidden = opened !== null || loading !== null;
    const first = left ?? cases?.at(0);
    sample.hidden = tour.hidden = first === undefined;
    sample.textContent = first === undefined ? "" : fill(left === null ? SAY.open : SAY.continue, { name: first.name });
    lead.textContent = !adds ? SAY.pickOne : first === undefined ? SAY.dropFirst : SAY.pick;
  });
  return element;
}

/** Progress of loading and uploading, once it has taken half a second. */
export function loadingCard(actions: Actions): HTMLElement {
  const text = h("p", {});
  const bar = h("progress", { max: 1, "aria-label": phrases.common.progress });
  const element = h("div", { class: "loading", role: "status", hidden: true }, text, bar);
  let timer: ReturnType<typeof setTimeout> | undefined;
  actions.store.on(["loading"], ({ loading }) => {
    if (loading === null) {
      clearTimeout(timer);
      timer = undefined;
      element.hidden = true;
      return;
    }
    text.textContent = loading.text;
    if (loading.fraction === null) bar.removeAttribute("value");
    else bar.value = loading.fraction;
    timer ??= setTimeout(() => {
      element.hidden = false;
    }, SLOW);
  });
  return element;
}

export function connectionBanner(actions: Actions): HTMLElement {
  const text = h("span", {});
  const retry = h(
    "button",
    {
      type: "button",
      class: "button small",
      onclick: () => {
        actions.session.reconnect();
      },
    },
    SAY.tryNow,
  );
  const element = h("div", { class: "banner", role: "alert", hidden: true }, icon("warning"), text, retry);
  actions.store.on(["connection", "refused", "unsent"], ({ connection, refused, unsent }) => {
    element.hidden = connection !== "lost";
    const waiting = unsent.length === 0 ? SAY.nothingLost : fill(SAY.waiting, { waiting: waitingWords(unsent) });
    text.textContent = `${refused ?? SAY.lost} ${waiting}`;
  });
  return element;
}
