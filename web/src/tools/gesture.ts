/** What a tool is: one function from press to release. */

import type { Pane } from "../views/pane";

/** A pressed pointer on a pane; `positive` is the sign that this press means. */
export interface Press {
  readonly pane: Pane;
  readonly start: PointerEvent;
  readonly positive: boolean;
  /** The moves until the release; throws Cancelled when the gesture is called off. */
  readonly moves: () => AsyncGenerator<PointerEvent, void>;
}

/** Thrown by `moves` when a gesture is called off: nothing is put down. */
export class Cancelled extends Error {}

const TAP = 12; // CSS pixels that a finger may move while it taps

/** Return true at once for a mouse or a pen, and for a finger when it is lifted where it was put down. */
export async function isTap({ start, moves }: Press): Promise<boolean> {
  if (start.pointerType !== "touch") return true;
  let far = false;
  for await (const move of moves())
    far ||= Math.hypot(move.clientX - start.clientX, move.clientY - start.clientY) > TAP;
  return !far;
}

/** It follows the pointer with `moves` and puts down its prompt at the end. */
export type Gesture = (press: Press) => Promise<void>;
