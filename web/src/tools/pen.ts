/** A pen on the screen: its other end erases, and the hand that rests beside it marks nothing. */

import type { Pane } from "../views/pane";
import type { Gesture } from "./gesture";
import { touchedBy } from "./move";
import { erase } from "./paint";

const ERASER = 5; // PointerEvent.button of a pen's eraser end
const NEAR_MS = 500; // a pen that was over the screen so lately is still in the hand

type Pointer = Pick<PointerEvent, "type" | "pointerType">;

/** Knows whether a pen is at the screen. */
export class Pens {
  #seen = -Infinity; // when a pen was over the screen, in ms
  #down = false;

  /** Take note of a pointer, wherever on the page. */
  note({ type, pointerType }: Pointer, now: number): void {
    if (pointerType !== "pen") return;
    this.#seen = now;
    if (type === "pointerdown") this.#down = true;
    if (type === "pointerup" || type === "pointercancel") this.#down = false;
  }

  /** True for a touch while a pen is at the screen: it is the hand that holds it. */
  rests({ pointerType }: Pointer, now: number): boolean {
    return pointerType === "touch" && (this.#down || now - this.#seen < NEAR_MS);
  }
}

export const isEraser = ({ pointerType, button }: PointerEvent): boolean => pointerType === "pen" && button === ERASER;

/** Return what the eraser does where it is put down: it takes the mark there away, or erases where there is none. */
export function erasing(pane: Pane, event: PointerEvent): Gesture {
  const mark = touchedBy(pane, event);
  if (mark === null) return erase;
  return () => {
    pane.actions.marks.remove(mark);
    return Promise.resolve();
  };
}
