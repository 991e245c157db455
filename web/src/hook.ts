/**
 * `window.segmend`: where tests and curious people look instead of guessing pixels.
 *
 * - `state()` is the store's state, without the voxels
 * - `screenOf(index, plane)` is where the middle of a voxel is on the page, {x, y} in CSS pixels, when
 *   its slice is shown; null when it is not
 * - `goTo(index)` moves the crosshair, and with it the slices
 * - `labelAt(index)` is the mask's label there
 * - `settled()` is true when everything is sent, answered and loaded
 */

import type { Actions } from "./actions";
import type { Index, PlaneName } from "./geometry";
import type { State } from "./state";
import type { Viewer } from "./views/viewer";

export interface Hook {
  state(): Omit<State, "opened"> & { readonly case: string | null; readonly session: string | null };
  screenOf(index: Index, plane: PlaneName): { x: number; y: number } | null;
  goTo(index: Index): void;
  labelAt(index: Index): number | null;
  settled(): boolean;
}

declare global {
  interface Window {
    segmend: Hook;
  }
}

export function exposeHook(actions: Actions, viewer: Viewer): void {
  const { store } = actions;
  window.segmend = {
    state: () => {
      const { opened, ...rest } = store.state;
      return { ...rest, case: opened?.case.id ?? null, session: opened?.session ?? null };
    },
    screenOf: (index, name) => {
      const pane = viewer.panes.find(({ plane }) => plane.name === name);
      if (pane === undefined || pane.slice !== index[pane.plane.normal]) return null;
      const [x, y] = pane.screenOf(index);
      return { x, y };
    },
    goTo: (index) => {
      actions.setCrosshair(index);
    },
    labelAt: (index) => store.state.opened?.map.at(index) ?? null,
    settled: () => {
      const { opened, connection, pending, unsent, loading } = store.state;
      return opened !== null && connection === "live" && pending.length + unsent.length === 0 && loading === null;
    },
  };
}
