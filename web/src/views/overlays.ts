/** What lies over the viewer: nothing opened yet, loading, a lost connection, files being dragged in. */

import type { Actions } from "../actions";
import { h, icon } from "../dom";
import { pickFiles, pickFolder } from "../drop";
import { waitingWords } from "../state";
import { reportErrors } from "../toasts";
import { mark } from "./header";
import { startTour } from "./tour";

const SLOW = 500;

export function emptyState(actions: Actions): HTMLElement {
  const store = actions.store;
  const sample = h("button", { type: "button", class: "button primary large" }, "Open a case");
  const lead = h("p", { class: "empty-lead" });
  const tour = h("button", { type: "button", class: "button large" }, "Tour of a minute");
  tour.addEventListener("click", () => {
    startTour(actions);
  });
  sample.addEventListener("click", () => {
    const first = store.state.left ?? store.state.cases?.at(0);
    if (first !== undefined) reportErrors(() => actions.openCase(first.id));
  });
  const element = h(
    "div",
    { class: "empty" },
    mark(),
    h("h2", {}, "A few marks, and the mask is right"),
    lead,
    h(
      "div",
      { class: "empty-buttons" },
      sample,
      tour,
      h("button", { type: "button", class: "button large", onclick: pickFiles(actions) }, icon("file"), "Add files"),
      h(
        "button",
        { type: "button", class: "button large", onclick: pickFolder(actions) },
        icon("folder"),
        "Add a DICOM folder",
      ),
    ),
    h(
      "ol",
      { class: "empty-steps" },
      h("li", {}, h("b", {}, "Click"), " on the object. A mask appears."),
      h("li", {}, h("b", {}, "Shift+click"), " where it is too large, click where it is too small."),
      h("li", {}, h("b", {}, "Download"), " it in the format that your viewer reads."),
    ),
  );
  store.on(["opened", "loading", "cases", "left"], ({ opened, loading, cases, left }) => {
    element.hidden = opened !== null || loading !== null;
    const first = left ?? cases?.at(0);
    sample.hidden = tour.hidden = first === undefined;
    sample.textContent = first === undefined ? "" : `${left === null ? "Open" : "Continue with"} “${first.name}”`;
    lead.textContent =
      first === undefined
        ? "Drop a scan or a photograph here to begin. `segmend start` adds a sample case to a new folder."
        : "Pick a case from the list, or drop a scan or a photograph anywhere on this page.";
  });
  return element;
}

/** Progress of loading and uploading, once it has taken half a second. */
export function loadingCard(actions: Actions): HTMLElement {
  const text = h("p", {});
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
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
        actions.reconnect();
      },
    },
    "Try now",
  );
  const element = h("div", { class: "banner", role: "alert", hidden: true }, icon("warning"), text, retry);
  actions.store.on(["connection", "refused", "unsent"], ({ connection, refused, unsent }) => {
    element.hidden = connection !== "lost";
    const waiting = unsent.length === 0 ? "Nothing is lost." : `${waitingWords(unsent)} and will be sent.`;
    text.textContent = `${refused ?? "The connection to Segmend is lost; reconnecting."} ${waiting}`;
  });
  return element;
}
