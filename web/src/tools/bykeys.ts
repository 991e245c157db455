/**
 * The chosen tool by keys. Enter presses at the crosshair, and lets go when it is pressed again: in between arrows draw
 * in the plane, and Page Up and Page Down give a box depth. A tool that asks for no moves is done with one press.
 *
 * Tools are the same functions that follow the pointer: here their presses and moves are made of voxels.
 */

import { aim, ARROWS } from "../aiming";
import type { Index } from "../geometry";
import type { Pane } from "../views/pane";
import { Cancelled, type Gesture } from "./gesture";
import { grabbed, move } from "./move";

/** What has been drawn, and whether it goes on. */
export class Drawing {
  readonly #waiting: PointerEvent[] = [];
  #ended: "no" | "released" | "cancelled" = "no";
  #wake: () => void = () => undefined;

  push(event: PointerEvent): void {
    this.#waiting.push(event);
    this.#wake();
  }

  end(how: "released" | "cancelled"): void {
    this.#ended = how;
    this.#wake();
  }

  /** Yield what is drawn until it ends. */
  async *moves(): AsyncGenerator<PointerEvent, void> {
    for (;;) {
      if (this.#ended === "cancelled") throw new Cancelled();
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#ended === "released") return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** Let a pane that has the focus answer to Enter and arrows; `toolOf` gives the chosen tool. */
export function pressByKeys(pane: Pane, toolOf: () => Gesture): void {
  const { canvas, actions } = pane;
  const { store } = actions;
  let drawing: Drawing | null = null;

  const at = (index: Index, type: string, shiftKey = false): PointerEvent => {
    const [clientX, clientY] = pane.screenOf(index);
    return new PointerEvent(type, { clientX, clientY, shiftKey });
  };
  const begin = (shiftKey: boolean): void => {
    const start = at(pane.cursor, "pointerdown", shiftKey);
    const { tool } = store.state;
    const mark = tool === "navigate" || tool === "box" ? grabbed(pane, start) : null;
    if (mark === null && (tool === "navigate" || tool === "window")) return;
    const gesture = mark === null ? toolOf() : move(mark, toolOf());
    const own = (drawing = new Drawing());
    actions.views.pressing = pane.spec.id;
    const moves = (): ReturnType<Drawing["moves"]> => {
      store.set({ drawing: true });
      return own.moves();
    };
    gesture({ pane, start, positive: store.state.positive !== shiftKey, moves })
      .catch((error: unknown) => {
        if (!(error instanceof Cancelled)) throw error;
      })
      .finally(() => {
        drawing = null;
        actions.views.pressing = undefined;
        store.set({ draft: null, editing: null, moving: null, drawing: false });
      });
  };

  canvas.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (event.repeat) return;
      if (drawing === null) begin(event.shiftKey);
      else drawing.end("released");
    } else if (drawing === null) {
      return;
    } else if (event.key === "Escape") {
      drawing.end("cancelled");
    } else if (event.key in ARROWS) {
      event.preventDefault();
      aim(actions, pane.plane, ARROWS[event.key], event.repeat, pane.spec.id);
      drawing.push(at(pane.cursor, "pointermove"));
    } else if (event.key === "PageUp" || event.key === "PageDown") {
      event.preventDefault();
      if (store.state.tool !== "box") return; // what is drawn lies in one slice
      actions.views.scroll(pane.plane.normal, event.key === "PageUp" ? 1 : -1, pane.spec.id);
      drawing.push(at(pane.cursor, "pointermove"));
    }
  });
  canvas.addEventListener("blur", () => drawing?.end("cancelled"));
  canvas.addEventListener("pointerdown", () => drawing?.end("cancelled"));
}
