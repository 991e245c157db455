/** How the page looks round the pictures: its colours, and on which side the panel is. Pictures stay dark in all of it. */

import type { State, Store } from "./state";
import type { Side, Theme } from "./themes";

const LIGHT = "(prefers-color-scheme: light)";
const CONTRAST = "(prefers-contrast: more)";

/** Return the colours that a choice means on a system that asks for light ones, or for more contrast. */
export function coloursFor(theme: Theme, system: { readonly light: boolean; readonly contrast: boolean }): Theme {
  if (theme !== "system") return theme;
  return system.contrast ? "contrast" : system.light ? "light" : "dark";
}

/** Return whether the page's parts come in the other order than one reads: the panel first. */
export const isTurned = (panel: Side, direction: "ltr" | "rtl"): boolean =>
  (panel === "left") !== (direction === "rtl");

/** Show the page as it is liked, and follow the system where that is what is liked. */
export function followAppearance(store: Store): void {
  const root = document.documentElement;
  const asked = [LIGHT, CONTRAST].map((query) => window.matchMedia(query));
  const show = ({ theme }: Pick<State, "theme">): void => {
    const [light, contrast] = asked.map(({ matches }) => matches);
    root.dataset.theme = coloursFor(theme, { light, contrast });
  };
  for (const query of asked) {
    query.addEventListener("change", () => {
      show(store.state);
    });
  }
  store.on(["theme"], show);
  store.on(["panel"], ({ panel }) => {
    root.dataset.turned = String(isTurned(panel, root.dir === "rtl" ? "rtl" : "ltr"));
  });
}
