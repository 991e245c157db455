/**
 * `window.segmend`: where tests and curious people look instead of guessing pixels.
 *
 * - `state()` is the store's state, without the voxels
 * - `screenOf(index, plane)` is where the middle of a voxel is on the page, {x, y} in CSS pixels, when
 *   it is shown; null when it is in another slice, beside the picture, or under something
 * - `screenOfPlace([x, y])` is where a pixel of a slide's finest level is on the page, null where it is not in sight
 * - `goTo(index)` moves the crosshair, and with it the slices
 * - `show(layout)` shows all planes ("grid"), one of them or 3D ("render")
 * - `labelAt(index)` is the mask's label there, the one furthest down the list where several share the voxel
 * - `labelsAt(index)` are all of them
 * - `settled()` is true when everything is sent, answered and loaded
 */

import type { Actions } from "./actions";
import type { Index, PlaneName } from "./geometry";
import type { Layout } from "./arrange";
import type { State } from "./state";
import type { Viewer } from "./views/viewer";

export interface Hook {
  state(): Omit<State, "opened"> & { readonly case: string | null; readonly session: string | null };
  screenOf(index: Index, plane: PlaneName): { x: number; y: number } | null;
  screenOfPlace(place: readonly [number, number]): { x: number; y: number } | null;
  goTo(index: Index): void;
  show(layout: Layout): void;
  labelAt(index: Index): number | null;
  labelsAt(index: Index): readonly number[];
  settled(): boolean;
  kept(): boolean; // closing the tab now would lose nothing
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
      return pane.canvas === document.elementFromPoint(x, y) ? { x, y } : null;
    },
    screenOfPlace: ([x, y]) => {
      const pane = viewer.panes.at(0);
      if (pane === undefined || pane.opened.onSlide === null) return null;
      const { seen } = pane;
      const box = pane.canvas.getBoundingClientRect();
      const at = {
        x: box.left + (x + 0.5) * seen.scaleX + seen.offsetX,
        y: box.top + (y + 0.5) * seen.scaleY + seen.offsetY,
      };
      return pane.canvas === document.elementFromPoint(at.x, at.y) ? at : null;
    },
    goTo: (index) => {
      actions.views.setCrosshair(index);
    },
    show: (layout) => {
      actions.views.setLayout(layout);
    },
    labelAt: (index) => {
      const { opened, labels } = store.state;
      const there = opened?.maps.at(index);
      return there === undefined ? null : (labels.filter(({ value }) => there.includes(value)).at(-1)?.value ?? 0);
    },
    labelsAt: (index) => store.state.opened?.maps.at(index) ?? [],
    kept: () => !actions.unsafe,
    settled: () => {
      const { opened, connection, pending, unsent, loading } = store.state;
      if (actions.slides.isMoving || opened?.onSlide?.tiles.settled === false) return false;
      return opened !== null && connection === "live" && pending.length + unsent.length === 0 && loading === null;
    },
  };
}
