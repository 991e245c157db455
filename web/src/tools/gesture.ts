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

/** It follows the pointer with `moves` and puts down its prompt at the end. */
export type Gesture = (press: Press) => Promise<void>;
