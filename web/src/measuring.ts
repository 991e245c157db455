/** What is measured of the labels, asked for when the mask has settled and somebody looks at it. */

import * as api from "./api";
import type { Actions } from "./actions";
import { keepRulers } from "./rulers";

const ASK_MS = 300; // after the last change

export function followMeasures({ store }: Actions): void {
  let asking: ReturnType<typeof setTimeout> | undefined;
  store.on(
    ["opened", "events", "pending", "unsent", "connection", "measuresShown", "maskVersion"],
    ({ opened, pending, unsent, connection, measuresShown }) => {
      clearTimeout(asking);
      if (opened === null || !measuresShown || connection !== "live" || pending.length + unsent.length > 0) return;
      asking = setTimeout(() => {
        const { session } = opened;
        api.measures(session, store.state.measured?.version ?? "").then(
          (measured) => {
            if (measured !== null && store.state.opened === opened) store.set({ measured });
          },
          () => undefined, // the banner says that the connection is lost, and they are asked for again after that
        );
      }, ASK_MS);
    },
  );
  store.on(["rulers"], ({ opened, rulers }, changed) => {
    if (opened !== null && !changed.has("opened"))
      keepRulers(opened.onSlide === null ? opened.case.id : opened.session, rulers);
  });
}
