/**
 * What a press on a plane begins. A gesture is one function from press to release:
 * it follows the pointer with `moves` and puts down its prompt at the end.
 *
 * Left button: the chosen tool; Shift turns its sign over; Ctrl moves the crosshair.
 * Middle button, or left with Space held: pan. Right button: window and level.
 * Wheel: slices, or zoom on a single slice and with Ctrl.
 */

import { zoomView } from "../geometry";
import type { Pane } from "../views/pane";
import { box } from "./box";
import { click } from "./click";
import type { Gesture } from "./gesture";
import { extremes } from "./extremes";
import { lasso } from "./lasso";
import { level, pan, point } from "./navigate";
import { stroke } from "./stroke";

class Cancelled extends Error {}

const held = { space: false };
window.addEventListener("keydown", (event) => {
  if (event.code === "Space") held.space = true;
});
window.addEventListener("keyup", (event) => {
  if (event.code === "Space") held.space = false;
});

/** Let a pane answer to the pointer. */
export function press(pane: Pane): void {
  const { canvas, actions } = pane;
  const store = actions.store;
  canvas.addEventListener("pointerdown", (start) => {
    canvas.focus({ preventScroll: true });
    start.preventDefault();
    const gesture = gestureOf(pane, start);
    if (gesture === null) return;
    canvas.setPointerCapture(start.pointerId);
    const positive = store.state.positive !== start.shiftKey;
    gesture({ pane, start, positive, moves: () => follow(canvas, start) })
      .catch((error: unknown) => {
        if (!(error instanceof Cancelled)) throw error;
      })
      .finally(() => {
        store.set({ draft: null });
      });
  });
  canvas.addEventListener("pointermove", (event) => {
    store.set({ pointer: pane.indexUnder(event) });
    pane.redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    store.set({ pointer: null });
    pane.redraw();
  });
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
  });
  canvas.addEventListener("wheel", (event) => {
    wheel(pane, event);
  });
}

function gestureOf(pane: Pane, event: PointerEvent): Gesture | null {
  if (event.button === 1) return pan;
  if (event.button === 2) return level;
  if (event.button !== 0) return null;
  if (held.space) return pan;
  const flat = pane.opened.planes.length === 1;
  if (event.ctrlKey || event.metaKey) return flat ? pan : point;
  return { navigate: flat ? pan : point, click, stroke, box, lasso, extremes }[pane.actions.store.state.tool];
}

let wheeled = 0; // of a fine wheel or a touchpad, not yet a whole slice

function wheel(pane: Pane, event: WheelEvent): void {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode === 1 ? 33 : 1);
  if (event.ctrlKey || event.metaKey || pane.opened.planes.length === 1) {
    pane.view = zoomView(pane.view, pane.projection, pane.at(event), pane.size, Math.exp(-pixels / 400));
    return;
  }
  wheeled += pixels / 50;
  const slices = Math.trunc(wheeled);
  wheeled -= slices;
  pane.actions.scroll(pane.plane.normal, slices);
}

/** Yield the moves of one pointer until it is released. */
async function* follow(canvas: HTMLCanvasElement, start: PointerEvent): AsyncGenerator<PointerEvent, void> {
  const waiting: PointerEvent[] = [];
  let ended: "no" | "released" | "cancelled" = "no";
  let wake: () => void = () => undefined;
  const control = new AbortController();
  const { signal } = control;
  const on = (type: "pointermove" | "pointerup" | "pointercancel", then: (event: PointerEvent) => void): void => {
    canvas.addEventListener(
      type,
      (event) => {
        if (event.pointerId !== start.pointerId) return;
        then(event);
        wake();
      },
      { signal },
    );
  };
  on("pointermove", (event) => {
    const fine = event.getCoalescedEvents();
    waiting.push(...(fine.length > 0 ? fine : [event]));
  });
  on("pointerup", () => (ended = "released"));
  on("pointercancel", () => (ended = "cancelled"));
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape") return;
      ended = "cancelled";
      wake();
    },
    { signal },
  );
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (stopped()) break;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    control.abort();
  }

  function stopped(): boolean {
    if (ended === "cancelled") throw new Cancelled();
    return ended === "released";
  }
}
