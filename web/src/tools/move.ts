import { dragged, type Handle, handleAt } from "../handles";
import { marksOf, type Tool } from "../state";
import type { Pane } from "../views/pane";
import type { Gesture } from "./gesture";

const FAR = 4; // CSS pixels from which a press is a drag

interface Grabbed {
  readonly position: number; // of the mark's event
  readonly handle: Handle;
}

/** Return the mark whose handle is under the pointer, the newest where several are: with V any, else of the tool's kind. */
export function grabbed(pane: Pane, event: MouseEvent): Grabbed | null {
  const { state } = pane.actions.store;
  if (!state.masked || event.shiftKey || event.ctrlKey || event.metaKey) return null;
  for (const { position, event: mark } of marksOf(state).reverse()) {
    if (position < 0 || mark.event !== "prompted" || !isGrabbedBy(state.tool, mark.prompt.kind)) continue;
    if (state.hidden.includes(mark.label)) continue;
    if (state.labels.find(({ value }) => value === mark.label)?.locked ?? true) continue;
    const handle = handleAt(mark.prompt, pane.shown, pane.at(event));
    if (handle !== null) return { position, handle };
  }
  return null;
}

/** Return the position of the newest mark that is under the pointer, null where none is. */
export function touchedBy(pane: Pane, event: MouseEvent): number | null {
  const { state } = pane.actions.store;
  const at = pane.at(event);
  const found = marksOf(state)
    .reverse()
    .find(({ position, event: mark }) => {
      return position >= 0 && mark.event === "prompted" && handleAt(mark.prompt, pane.shown, at) !== null;
    });
  return state.masked ? (found?.position ?? null) : null;
}

const isGrabbedBy = (tool: Tool, kind: string): boolean =>
  tool === "navigate" || (tool === kind && ["click", "box", "extremes"].includes(kind));

/** Move a mark, or a side of it, with the pointer; a press without a drag does what the tool does. */
export const move =
  ({ position, handle }: Grabbed, otherwise: Gesture): Gesture =>
  async (press) => {
    const { pane, start, moves } = press;
    const { actions, plane, opened } = pane;
    const mark = actions.store.state.events.at(position);
    if (mark?.event !== "prompted") return;
    const from = pane.indexNear(start);
    let [far, moved] = [false, mark.prompt];
    for await (const event of moves()) {
      far ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > FAR;
      if (!far) continue;
      moved = dragged(mark.prompt, handle.part, plane, opened.volume.shape, from, pane.indexNear(event));
      actions.store.set({ draft: moved, moving: position });
    }
    if (far) actions.marks.replace(position, moved);
    else await otherwise({ ...press, moves: noMoves });
  };

async function* noMoves(): AsyncGenerator<PointerEvent, void> {
  // the button was released where it was pressed
}
