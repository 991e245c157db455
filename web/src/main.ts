/** The page: every view once, listening to one store. */

import { direction, language, phrases } from "./phrases";
import "./themes.css";
import "./style.css";
import { Actions } from "./actions";
import { followAddress } from "./address";
import { followAppearance } from "./appearance";
import { h } from "./dom";
import { listenToDrops } from "./drop";
import { watchFocus } from "./focus";
import { exposeHook } from "./hook";
import { listenToKeys } from "./keys";
import { followMeasures } from "./measuring";
import { keepPreferences, liked } from "./preferences";
import { INITIAL, Store } from "./state";
import { followWork } from "./work";
import { reportErrors, toastRegion } from "./toasts";
import { casesPanel } from "./views/cases";
import { casePanel } from "./views/case";
import { displayPanel } from "./views/display";
import { editingPanel } from "./views/editing";
import { header } from "./views/header";
import { measuresPanel } from "./views/measures";
import { caseNotes } from "./views/notes";
import { labelsPanel } from "./views/labels";
import { lookPanel } from "./views/look";
import { connectionBanner, emptyState, loadingCard } from "./views/overlays";
import { previewBar } from "./views/preview";
import { promptsPanel } from "./views/prompts";
import { rail } from "./views/rail";
import { slideBar, slidePanel } from "./views/slide";
import { statusLine } from "./views/status";
import { timeBar } from "./views/series";
import { robotBar, tourCard } from "./views/tour";
import { Viewer } from "./views/viewer";
import { wholePanel } from "./views/whole";
import "./touch.css"; // after those of the views

const NARROW = 1200; // CSS pixels of page under which an opened case hides the list

document.documentElement.lang = language;
document.documentElement.dir = direction;
const store = new Store({ ...INITIAL, panel: direction === "rtl" ? "left" : "right", ...liked() });
followAppearance(store);
const actions = new Actions(store);
const viewer = new Viewer(actions);
actions.slides.slidePane = () => viewer.panes.at(0) ?? null;
const app = document.getElementById("app")!;

app.replaceChildren(
  header(actions),
  casesPanel(actions),
  rail(actions),
  h(
    "main",
    { class: "stage" },
    caseNotes(actions),
    connectionBanner(actions),
    viewer.element,
    timeBar(actions),
    slideBar(actions),
    previewBar(actions),
    robotBar(actions),
    tourCard(actions),
    emptyState(actions),
    loadingCard(actions),
  ),
  h(
    "aside",
    { class: "panel", "aria-label": phrases.header.panel },
    casePanel(actions),
    labelsPanel(actions),
    slidePanel(actions),
    promptsPanel(actions),
    wholePanel(actions),
    editingPanel(actions),
    lookPanel(actions),
    measuresPanel(actions),
    displayPanel(actions),
  ),
  statusLine(actions),
  listenToDrops(actions),
  toastRegion,
);
watchFocus();
listenToKeys(actions);
keepPreferences(store);
followWork(actions);
followMeasures(actions);
exposeHook(actions, viewer);
store.on(["opened"], ({ opened }) => {
  app.dataset.open = String(opened !== null);
  document.title = opened === null ? "Segmend" : `${opened.case.name} · Segmend`;
  if (opened !== null && window.innerWidth < NARROW) store.set({ sidebar: false });
  if (opened === null) store.set({ sidebar: true });
});
store.on(["connection"], ({ connection }) => {
  if (connection !== "lost") void actions.awaitReady(); // a server that comes back has been started anew
});
window.addEventListener("beforeunload", (event) => {
  if (actions.unsafe) event.preventDefault();
});

reportErrors(() => actions.start());
followAddress(actions);
