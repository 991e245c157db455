/** A tour of a minute: what to do next, and how to see that it was done. */

import { phrases } from "./phrases";
import { marksOf, type State } from "./state";

type Seen = Pick<State, "events" | "done" | "undone" | "pending" | "unsent" | "labels" | "crosshair" | "opened">;

/** One thing to try. */
export interface Stop {
  readonly title: string;
  readonly text: string;
  readonly tried: (now: Seen, before: Seen) => boolean;
}

const marks = (state: Seen): number => marksOf(state).length;
const negative = (state: Seen): number =>
  marksOf(state).filter(
    ({ event }) => event.event === "prompted" && "positive" in event.prompt && !event.prompt.positive,
  ).length;
const settled = (state: Seen): boolean => state.pending.length + state.unsent.length === 0;

const SAY = phrases.tour;

export const STOPS: readonly Stop[] = [
  {
    title: SAY.clickTitle,
    text: SAY.clickText,
    tried: (now, before) => marks(now) > marks(before) && settled(now),
  },
  {
    title: SAY.shiftTitle,
    text: SAY.shiftText,
    tried: (now, before) => negative(now) > negative(before) && settled(now),
  },
  {
    title: SAY.undoTitle,
    text: SAY.undoText,
    tried: (now, before) => now.undone.length > before.undone.length,
  },
  {
    title: SAY.lookTitle,
    text: SAY.lookText,
    tried: (now, before) => now.crosshair.some((at, axis) => at !== before.crosshair[axis]),
  },
  {
    title: SAY.labelTitle,
    text: SAY.labelText,
    tried: (now, before) => now.labels.length > before.labels.length,
  },
  {
    title: SAY.finishTitle,
    text: SAY.finishText,
    tried: () => false,
  },
];
