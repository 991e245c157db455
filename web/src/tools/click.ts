import { isTap, type Press } from "./gesture";

const DOUBLE_MS = 400; // between two presses at one place that are one mark
const NEAR = 6; // CSS pixels that are one place

interface Put {
  readonly start: PointerEvent;
  readonly label: number;
  readonly positive: boolean;
}

let last: Put | null = null;

/** Put down a click at once, where the button went down; the other planes follow. A double click is one mark. */
export async function click(press: Press): Promise<void> {
  const { pane, start, positive } = press;
  const index = pane.indexUnder(start);
  if (index === null || !(await isTap(press))) return;
  pane.actions.views.setCrosshair(index);
  const put: Put = { start, positive, label: pane.actions.store.state.label };
  const { previewing, preview } = pane.actions.store.state;
  const dropped = previewing && preview === null; // what the press before showed; this one asks for it anew
  if (last === null || dropped || !isSame(last, put)) pane.actions.marks.place({ kind: "click", index, positive });
  last = put;
}

/** Say whether a press only repeats the one before, as the second of a double click does. */
export function isSame(before: Put, now: Put): boolean {
  const far = Math.hypot(now.start.clientX - before.start.clientX, now.start.clientY - before.start.clientY);
  const soon = now.start.timeStamp - before.start.timeStamp < DOUBLE_MS;
  return soon && far <= NEAR && now.label === before.label && now.positive === before.positive;
}
