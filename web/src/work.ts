/** What goes on beside the work: where one is is kept, how far the case is is asked, and the next one is fetched. */

import type { Actions } from "./actions";
import { keepPlace } from "./places";
import { reportErrors } from "./toasts";

const PLACE_MS = 400; // after the last move
const ASK_MS = 1000; // after the last event
const PRELOAD_MS = 300; // after a case is shown

export function followWork(actions: Actions): void {
  const { store } = actions;
  let keeping: ReturnType<typeof setTimeout> | undefined;
  let asking: ReturnType<typeof setTimeout> | undefined;
  let preloading: ReturnType<typeof setTimeout> | undefined;
  let known = 0; // events of the open session
  store.on(["crosshair", "layout", "opened"], ({ opened, layout, crosshair }) => {
    clearTimeout(keeping);
    if (opened === null || opened.onSlide !== null) return;
    keeping = setTimeout(() => {
      keepPlace(opened.case.id, { layout, crosshair });
    }, PLACE_MS);
  });
  store.on(["events", "opened"], ({ events, opened }, changed) => {
    const grown = events.length > known && known > 0 && !changed.has("opened");
    known = opened === null ? 0 : events.length;
    if (!grown) return;
    clearTimeout(asking);
    asking = setTimeout(() => {
      reportErrors(() => actions.work.update());
    }, ASK_MS);
  });
  store.on(["connection", "opened"], ({ connection, opened }) => {
    clearTimeout(preloading);
    if (opened === null || connection !== "live") return;
    preloading = setTimeout(() => {
      actions.cases.preload().catch(() => undefined); // it is fetched when it is opened
    }, PRELOAD_MS);
  });
}
