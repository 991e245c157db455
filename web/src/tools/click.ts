import type { Prompt } from "../api";
import { same } from "../session";
import { marksOf, type State } from "../state";
import { isTap, type Press } from "./gesture";

const DOUBLE_MS = 400; // between two presses at one place that are one mark
const NEAR = 6; // CSS pixels that are one place

interface Put {
  readonly start: PointerEvent;
  readonly label: number;
  readonly positive: boolean;
}

let last: (Put & { readonly prompt: Prompt; readonly made: boolean }) | null = null;

/** Put down a click at once, where the button went down; the other planes follow. A double click is one mark. */
export async function click(press: Press): Promise<void> {
  const { pane, start, positive } = press;
  const index = pane.indexUnder(start);
  if (index === null || !(await isTap(press))) return;
  const { views, marks, store } = pane.actions;
  views.setCrosshair(index);
  const put: Put = { start, positive, label: store.state.label };
  if (last !== null && isSame(last, put) && !isGone(store.state)) {
    last = { ...last, start };
    return;
  }
  const prompt: Prompt = { kind: "click", index, positive };
  marks.place(prompt);
  last = { ...put, prompt, made: isThere(store.state, prompt) };
}

/** Tell that what the last press made, a mark or a preview of one, was taken away since: the next makes it anew. */
function isGone(state: State): boolean {
  if (last === null) return true;
  return state.previewing ? state.preview === null : last.made && !isThere(state, last.prompt);
}

const isThere = (state: State, prompt: Prompt): boolean =>
  marksOf(state).some(({ event }) => event.event === "prompted" && same(event.prompt, prompt));

/** Say whether a press only repeats the one before, as the second of a double click does. */
export function isSame(before: Put, now: Put): boolean {
  const far = Math.hypot(now.start.clientX - before.start.clientX, now.start.clientY - before.start.clientY);
  const soon = now.start.timeStamp - before.start.timeStamp < DOUBLE_MS;
  return soon && far <= NEAR && now.label === before.label && now.positive === before.positive;
}
