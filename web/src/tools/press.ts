/**
 * What a press on a plane begins. A gesture is one function from press to release:
 * it follows the pointer with `moves` and puts down its prompt at the end.
 *
 * Left button: the chosen tool; Shift turns its sign over; Ctrl moves the crosshair.
 * Middle button, or left with Space held: pan. Right button: window and level.
 * Wheel: slices, or zoom on a single slice and with Ctrl. Two fingers zoom and move the picture, and never mark.
 * A pen is a mouse whose other end erases; while it is at the screen, fingers and hands do nothing.
 */

import { panView, type Point, zoomView } from "../geometry";
import { reportErrors } from "../toasts";
import type { Pane } from "../views/pane";
import { box } from "./box";
import { click } from "./click";
import { cut } from "./cut";
import { pressByKeys } from "./bykeys";
import { Cancelled, type Gesture } from "./gesture";
import { extremes } from "./extremes";
import { island } from "./island";
import { lasso } from "./lasso";
import { level, pan, point } from "./navigate";
import { measure } from "./measure";
import { grabbed, move, touchedBy } from "./move";
import { paint } from "./paint";
import { erasing, isEraser, Pens } from "./pen";
import { stroke } from "./stroke";
import { threshold } from "./threshold";
import { Wheel, zoomOf } from "../wheel";

const held = { space: false };
window.addEventListener("keydown", (event) => {
  if (event.code === "Space") held.space = true;
});
window.addEventListener("keyup", (event) => {
  if (event.code === "Space") held.space = false;
});

const pens = new Pens();
for (const type of ["pointermove", "pointerdown", "pointerup", "pointercancel"] as const) {
  window.addEventListener(
    type,
    (event) => {
      pens.note(event, performance.now());
    },
    { capture: true, passive: true },
  );
}

/** Let a pane answer to the pointer. */
export function press(pane: Pane): void {
  const { canvas, actions } = pane;
  const store = actions.store;
  const fingers = new Map<number, PointerEvent>();
  let underway = new AbortController(); // the gesture that was begun last
  /** Call off what a touch has begun when a pen comes: it was the hand that holds it. */
  const letHandRest = ({ pointerType }: PointerEvent): void => {
    if (pointerType !== "pen" || fingers.size === 0) return;
    underway.abort();
    fingers.clear();
  };
  canvas.addEventListener("pointerdown", (start) => {
    canvas.focus({ preventScroll: true });
    start.preventDefault();
    if (pens.rests(start, performance.now())) return;
    letHandRest(start);
    store.set({ aiming: false });
    if (pane.spec.image !== null) reportErrors(() => actions.images.setImage(pane.spec.image ?? 0)); // the one that is worked on
    if (start.pointerType === "touch") {
      canvas.setPointerCapture(start.pointerId);
      fingers.set(start.pointerId, start);
      if (fingers.size > 1) {
        underway.abort();
        return;
      }
    }
    const gesture = gestureOf(pane, start);
    if (gesture === null) return;
    if (gesture !== pan && gesture !== level && !pane.suits(pane.at(start))) {
      const positive = store.state.positive !== start.shiftKey; // of a slide: what is seen is opened to be marked first
      reportErrors(() => actions.slides.markHere(pane, gesture === click ? { at: pane.at(start), positive } : null));
      return;
    }
    canvas.setPointerCapture(start.pointerId);
    const positive = store.state.positive !== start.shiftKey;
    const gestures = (underway = new AbortController());
    const { signal } = gestures;
    actions.views.pressing = pane.spec.id;
    gesture({ pane, start, positive, moves: () => follow(canvas, start, signal) })
      .catch((error: unknown) => {
        if (!(error instanceof Cancelled)) throw error;
      })
      .finally(() => {
        if (underway !== gestures) return; // another one has begun
        actions.views.pressing = undefined;
        store.set({ draft: null, editing: null, moving: null });
      });
  });
  canvas.addEventListener("pointermove", (event) => {
    letHandRest(event);
    if (event.pointerType === "touch" && !fingers.has(event.pointerId)) return; // a hand beside the pen
    const touched = event.buttons === 0 ? touchedBy(pane, event) : null;
    store.set({ pointer: pane.indexUnder(event), plane: pane.plane.name, aiming: false, touched });
    canvas.classList.toggle("grabs", event.buttons === 0 && grabbed(pane, event) !== null);
    pane.redraw();
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) pinch(pane, before, [...fingers.values()]);
  });
  for (const type of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(type, ({ pointerId }) => fingers.delete(pointerId));
  }
  canvas.addEventListener("pointerleave", () => {
    store.set({ pointer: null, touched: null });
    pane.redraw();
  });
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
  });
  canvas.addEventListener("wheel", (event) => {
    wheel(pane, event);
  });
  pressByKeys(pane, () => toolOf(pane));
}

function gestureOf(pane: Pane, event: PointerEvent): Gesture | null {
  if (event.button === 1) return pan;
  if (event.button === 2) return level;
  if (isEraser(event)) return erasing(pane, event);
  if (event.button !== 0) return null;
  if (held.space) return pan;
  if (event.ctrlKey || event.metaKey) return pane.opened.planes.length === 1 ? pan : point;
  const gesture = toolOf(pane);
  const mark = grabbed(pane, event);
  return mark === null ? gesture : move(mark, gesture);
}

/** Return what the chosen tool does. */
function toolOf(pane: Pane): Gesture {
  const flat = pane.opened.planes.length === 1;
  const views = { window: level, ruler: measure, angle: measure, ellipse: measure };
  const edits = { paint, erase: paint, cut, island, threshold };
  const tools = { navigate: flat ? pan : point, click, stroke, box, lasso, extremes, ...edits, ...views };
  return tools[pane.actions.store.state.tool];
}

const turned = new Wheel();

function wheel(pane: Pane, event: WheelEvent): void {
  event.preventDefault();
  if (event.ctrlKey || event.metaKey || pane.opened.planes.length === 1) {
    pane.view = zoomView(pane.view, pane.projection, pane.at(event), pane.size, zoomOf(event), pane.zooms);
    return;
  }
  pane.actions.views.scroll(pane.plane.normal, turned.slices(event), pane.spec.id);
}

/** Follow two fingers: the picture grows with their distance and moves with their middle. */
function pinch(pane: Pane, before: readonly PointerEvent[], now: readonly PointerEvent[]): void {
  const [from, to] = [before, now].map((fingers) => fingers.map((finger) => pane.at(finger)));
  const apart = ([a, b]: readonly Point[]): number => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  const middle = ([a, b]: readonly Point[]): Point => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const [x, y] = middle(from);
  const [nextX, nextY] = middle(to);
  pane.view = zoomView(pane.view, pane.projection, [x, y], pane.size, apart(to) / apart(from), pane.zooms);
  pane.view = panView(pane.view, pane.projection, nextX - x, nextY - y);
}

/** Yield the moves of one pointer until it is released. */
async function* follow(
  canvas: HTMLCanvasElement,
  start: PointerEvent,
  calledOff: AbortSignal,
): AsyncGenerator<PointerEvent, void> {
  const waiting: PointerEvent[] = [];
  let ended = "no" as "no" | "released" | "cancelled";
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
  calledOff.addEventListener(
    "abort",
    () => {
      ended = "cancelled";
      wake();
    },
    { signal },
  );
  if (calledOff.aborted) throw new Cancelled();
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
