/** A tour of a minute: what to do next, and how to see that it was done. */

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

export const STOPS: readonly Stop[] = [
  {
    title: "Click on an organ",
    text: "Click in the middle of something round and bright. A mask appears, in all planes.",
    tried: (now, before) => marks(now) > marks(before) && settled(now),
  },
  {
    title: "Take away what is too much",
    text: "Hold Shift and click where the mask has run over. A click without Shift adds what is missing.",
    tried: (now, before) => negative(now) > negative(before) && settled(now),
  },
  {
    title: "Undo anything",
    text: "Press Ctrl+Z. Every mark can be taken back, also from the list of marks on the right, and after days.",
    tried: (now, before) => now.undone.length > before.undone.length,
  },
  {
    title: "Look around",
    text: "Turn the wheel to go through the slices, Ctrl+wheel zooms, the right button changes the window.",
    tried: (now, before) => now.crosshair.some((at, axis) => at !== before.crosshair[axis]),
  },
  {
    title: "Another object",
    text: "Press N for a new label, and click on another organ. Keys 1 to 9 choose a label.",
    tried: (now, before) => now.labels.length > before.labels.length,
  },
  {
    title: "Finish",
    text: "Paint and Erase mend the last details, Download takes the mask away, and ? lists all keys.",
    tried: () => false,
  },
];
